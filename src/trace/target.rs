//! What is looked for, told by its shape or by a word in front of it, and whether a message, refusal or failed login has
//! to do with it.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::archive::index::Key;
use crate::correlate::{AuthFailure, Message, Octets, Recipient, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;
use crate::mail::queue_id::QueueId;

/// What a search is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the user wrote it.
    pub said: String,
    pub what: What,
}

/// The kinds of things that can be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One login, by name.
    Sasl(String),
    /// One local user or script.
    Uid(String),
    /// A bare name: a login, a local user, or a domain where it has a dot.
    Name(String),
    Queue(QueueId),
    MessageId(String),
    Network(IpNetwork),
    /// A login of this name, an envelope sender, a recipient, or a message id without its brackets.
    Address(String),
    /// Envelope sender: an address, or a domain.
    From(String),
    /// Recipient: an address, or a domain.
    To(String),
    Domain(String),
}

/// How something has to do with the target; several at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    pub const NONE: Self = Self(0);
    /// It is responsible for it.
    pub const IDENTITY: Self = Self(1);
    pub const CLIENT: Self = Self(2);
    /// It is the message itself.
    pub const MESSAGE: Self = Self(4);
    /// It is a notice about the message, or another entry of the same mail.
    pub const RELATED: Self = Self(8);
    pub const SENDER: Self = Self(16);
    pub const RECIPIENT: Self = Self(32);

    /// The order in which they decide what a story is about.
    pub const BY_WEIGHT: [Self; 6] =
        [Self::IDENTITY, Self::CLIENT, Self::MESSAGE, Self::SENDER, Self::RECIPIENT, Self::RELATED];

    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn with(self, other: Self, is_so: bool) -> Self {
        if is_so { Self(self.0 | other.0) } else { self }
    }

    /// A word for the tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::IDENTITY => "identity",
            Self::CLIENT => "client",
            Self::MESSAGE => "message",
            Self::SENDER => "sender",
            Self::RECIPIENT => "recipient",
            Self::RELATED => "related",
            _ => "",
        }
    }

    /// All of them, the weightiest first.
    pub fn words(self) -> Vec<String> {
        Self::BY_WEIGHT.iter().filter(|role| self.has(**role)).map(|role| role.word().to_string()).collect()
    }
}

/// Words that may stand in front of what is looked for.
pub const PREFIXES: &[&str] = &["sasl:", "uid:", "queue:", "msgid:", "ip:", "address:", "from:", "to:", "domain:"];

impl Target {
    /// What `said` means: by the word in front of it, else by its shape.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn new(said: &str) -> Result<Self, String> {
        let said = said.trim();
        let what = match PREFIXES.iter().find_map(|prefix| Some((*prefix, said.strip_prefix(prefix)?.trim()))) {
            Some((prefix, rest)) => forced(prefix, rest)?,
            None => by_shape(said)?,
        };
        Ok(Self { said: said.to_string(), what })
    }

    /// In a few words: `the queue id 3F2A11C0`.
    pub fn name(&self) -> String {
        match &self.what {
            What::Sasl(name) => format!("login {name}"),
            What::Uid(name) => format!("local user {name}"),
            What::Name(name) if is_domain(name) => format!("domain or login {name}"),
            What::Name(name) => format!("login or local user {name}"),
            What::Queue(id) => format!("queue id {id}"),
            What::MessageId(id) => format!("message id <{id}>"),
            What::Network(network) if is_single(network) => format!("client {}", network.ip()),
            What::Network(network) => format!("client network {network}"),
            What::Address(address) => format!("address {address}"),
            What::From(name) => format!("envelope sender {name}"),
            What::To(name) => format!("recipient {name}"),
            What::Domain(name) => format!("domain {name}"),
        }
    }

    /// Texts of which one stands, in any letter case, in every line and record that can have to do with it. `None` where
    /// there is no such text.
    pub fn marks(&self) -> Option<Vec<Vec<u8>>> {
        let mark = match &self.what {
            What::Queue(id) => id.as_bytes().to_vec(),
            What::Sasl(name)
            | What::Uid(name)
            | What::Name(name)
            | What::MessageId(name)
            | What::Address(name)
            | What::From(name)
            | What::To(name)
            | What::Domain(name) => name.clone().into_bytes(),
            What::Network(network) => network_mark(network)?.into_bytes(),
        };
        Some(vec![mark])
    }

    /// What all of these records are found by in the archive. `None` where each has to be looked at.
    pub fn keys(&self) -> Option<Vec<Key>> {
        Some(match &self.what {
            What::Queue(id) => vec![Key::id(id.as_bytes())],
            What::MessageId(id) => vec![Key::id(id.as_bytes())],
            // A message id is of this form, too.
            What::Address(name) => vec![Key::name(name.as_bytes()), Key::id(name.as_bytes())],
            What::Sasl(name)
            | What::Uid(name)
            | What::Name(name)
            | What::From(name)
            | What::To(name)
            | What::Domain(name) => vec![Key::name(name.as_bytes())],
            What::Network(network) => return network_keys(network),
        })
    }

    pub fn of_message(&self, message: &Message) -> Roles {
        let identity = &message.identity;
        let is_user = |kind: IdentityKind, name: &str| identity.kind == kind && is_same(&identity.name, name);
        let login = message.origin.sasl_username.as_ref();
        let none = Roles::NONE;
        match &self.what {
            What::Sasl(name) => none.with(Roles::IDENTITY, is_user(IdentityKind::Sasl, name)),
            What::Uid(name) => none.with(Roles::IDENTITY, is_user(IdentityKind::Uid, name)),
            What::Name(name) => {
                let is_one = is_user(IdentityKind::Sasl, name) || is_user(IdentityKind::Uid, name);
                let roles = none.with(Roles::IDENTITY, is_one);
                if is_domain(name) { self.domain_roles(name, message, roles) } else { roles }
            }
            What::Queue(id) => none
                .with(Roles::MESSAGE, message.queue_id == *id)
                .with(Roles::RELATED, message.parent_queue_id == Some(*id) || message.hop_of == Some(*id)),
            What::MessageId(id) => none.with(Roles::MESSAGE, has_message_id(message, id)),
            What::Network(network) => {
                let client = message.origin.client.as_ref();
                none.with(Roles::CLIENT, client.is_some_and(|client| is_in(&client.ip, network)))
            }
            What::Address(address) => {
                let is_one = is_user(IdentityKind::Sasl, address) || login.is_some_and(|login| is_same(login, address));
                none.with(Roles::IDENTITY, is_one)
                    .with(Roles::MESSAGE, has_message_id(message, address))
                    .with(Roles::SENDER, message.sender.as_ref().is_some_and(|sender| is_same(sender, address)))
                    .with(Roles::RECIPIENT, message.recipients.iter().any(|one| self.wants(one)))
            }
            What::From(name) => {
                none.with(Roles::SENDER, message.sender.as_ref().is_some_and(|sender| is_address(sender, name)))
            }
            What::To(_) => none.with(Roles::RECIPIENT, message.recipients.iter().any(|one| self.wants(one))),
            What::Domain(name) => self.domain_roles(name, message, none),
        }
    }

    fn domain_roles(&self, name: &str, message: &Message, roles: Roles) -> Roles {
        let is_its_login =
            matches!(message.identity.kind, IdentityKind::Sasl) && is_address(&message.identity.name, name);
        roles
            .with(Roles::IDENTITY, is_its_login)
            .with(Roles::SENDER, message.sender.as_ref().is_some_and(|sender| is_address(sender, name)))
            .with(Roles::RECIPIENT, message.recipients.iter().any(|one| self.wants(one)))
    }

    /// True for a recipient that the target names.
    pub fn wants(&self, recipient: &Recipient) -> bool {
        self.wants_address(&recipient.address) || self.wants_address(&recipient.orig_address)
    }

    fn wants_address(&self, address: &[u8]) -> bool {
        match &self.what {
            What::Address(name) => is_same(address, name),
            What::To(name) | What::Domain(name) | What::Name(name) => is_address(address, name),
            _ => false,
        }
    }

    pub fn of_rejection(&self, rejection: &Rejection) -> Roles {
        let login = rejection.sasl_username.as_ref();
        let user = rejection.local_user.as_ref();
        let is_login = |name: &str| login.is_some_and(|login| is_same(login, name));
        let is_user = |name: &str| login.is_none() && user.is_some_and(|user| is_same(user, name));
        let none = Roles::NONE;
        let from = |name: &str| rejection.sender.as_ref().is_some_and(|sender| is_address(sender, name));
        let to = rejection.recipient.as_ref().is_some_and(|recipient| self.wants_address(recipient));
        match &self.what {
            What::Sasl(name) => none.with(Roles::IDENTITY, is_login(name)),
            What::Uid(name) => none.with(Roles::IDENTITY, is_user(name)),
            What::Name(name) => {
                let roles = none.with(Roles::IDENTITY, is_login(name) || is_user(name));
                let is_domain = is_domain(name);
                roles.with(Roles::SENDER, is_domain && from(name)).with(Roles::RECIPIENT, is_domain && to)
            }
            What::Queue(id) => none.with(Roles::MESSAGE, rejection.queue_id == Some(*id)),
            What::MessageId(_) => none,
            What::Network(network) => none.with(Roles::CLIENT, is_in(&rejection.client.ip, network)),
            What::Address(name) => none
                .with(Roles::IDENTITY, is_login(name))
                .with(Roles::SENDER, rejection.sender.as_ref().is_some_and(|sender| is_same(sender, name)))
                .with(Roles::RECIPIENT, to),
            What::From(name) => none.with(Roles::SENDER, from(name)),
            What::To(_) => none.with(Roles::RECIPIENT, to),
            What::Domain(name) => none
                .with(Roles::IDENTITY, login.is_some_and(|login| is_address(login, name)))
                .with(Roles::SENDER, from(name))
                .with(Roles::RECIPIENT, to),
        }
    }

    pub fn of_failure(&self, failure: &AuthFailure) -> Roles {
        let login = failure.sasl_username.as_ref();
        let none = Roles::NONE;
        match &self.what {
            What::Sasl(name) | What::Address(name) => {
                none.with(Roles::IDENTITY, login.is_some_and(|login| is_same(login, name)))
            }
            What::Name(name) => {
                let is_its = |login: &Octets| is_same(login, name) || (is_domain(name) && is_address(login, name));
                none.with(Roles::IDENTITY, login.is_some_and(is_its))
            }
            What::Domain(name) => none.with(Roles::IDENTITY, login.is_some_and(|login| is_address(login, name))),
            What::Network(network) => none.with(Roles::CLIENT, is_in(&failure.client.ip, network)),
            What::Uid(_) | What::Queue(_) | What::MessageId(_) | What::From(_) | What::To(_) => none,
        }
    }
}

fn forced(prefix: &str, rest: &str) -> Result<What, String> {
    let plain = unbracketed(rest);
    if without_at(plain).is_empty() {
        return Err(format!("{prefix} needs a name behind it"));
    }
    Ok(match prefix {
        "sasl:" => What::Sasl(rest.into()),
        "uid:" => What::Uid(rest.into()),
        "queue:" => {
            let meant = QueueId::new(rest.to_ascii_uppercase().as_bytes());
            let meant = meant.map_or(String::new(), |id| format!("; did you mean {id}?"));
            let wrong = || format!("{rest}: no queue id of Postfix or Exim{meant}");
            What::Queue(QueueId::new(rest.as_bytes()).ok_or_else(wrong)?)
        }
        "msgid:" => What::MessageId(plain.into()),
        "ip:" => What::Network(network_of(rest).ok_or_else(|| format!("{rest}: no IP address or network"))?),
        "from:" => What::From(without_at(plain).into()),
        "to:" => What::To(without_at(plain).into()),
        "domain:" => What::Domain(without_at(plain).into()),
        _ => What::Address(plain.into()),
    })
}

fn by_shape(said: &str) -> Result<What, String> {
    if said.is_empty() || said == "<>" {
        return Err("nothing to look for; give a login, queue id, message id, IP, network, address or domain".into());
    }
    if let Some(network) = network_of(said) {
        return Ok(What::Network(network));
    }
    if said.contains('/') {
        let what = if std::path::Path::new(said).exists() { "is a file" } else { "is no network" };
        return Err(format!("{said} {what}; what to look for comes first, then the files (force it: sasl:{said})"));
    }
    if said == "@" {
        return Err("@ is no domain; give one as @example.org".into());
    }
    if let Some(id) = QueueId::new(said.as_bytes()) {
        return Ok(What::Queue(id));
    }
    let plain = unbracketed(said);
    Ok(match plain.strip_prefix('@') {
        Some(domain) => What::Domain(domain.into()),
        None if plain.contains('@') => What::Address(plain.into()),
        // `message-id=<7f3c>`: what stands in brackets and is no address.
        None if plain.len() < said.len() => What::MessageId(plain.into()),
        None => What::Name(plain.into()),
    })
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text)
}

fn without_at(text: &str) -> &str {
    text.strip_prefix('@').unwrap_or(text)
}

/// An address, in brackets too, or a network.
fn network_of(text: &str) -> Option<IpNetwork> {
    match address::ip(text.as_bytes()) {
        Some(ip) => Some(IpNetwork::from(ip)),
        None if text.contains('/') => text.parse().ok(),
        None => None,
    }
}

fn is_single(network: &IpNetwork) -> bool {
    match network {
        IpNetwork::V4(v4) => v4.prefix() == 32,
        IpNetwork::V6(v6) => v6.prefix() == 128,
    }
}

/// What every address of the network has in its text; `None` where they have nothing in common.
fn network_mark(network: &IpNetwork) -> Option<String> {
    match network.network() {
        IpAddr::V4(v4) => {
            let octets = v4.octets().map(|octet| octet.to_string());
            match usize::from(network.prefix() / 8) {
                0 => None,
                4 => Some(octets.join(".")),
                whole => Some(format!("{}.", octets.get(..whole)?.join("."))),
            }
        }
        // It can be written in several ways; its first number, which none leaves out, stands in all of them.
        IpAddr::V6(v6) => match v6.segments() {
            [0, ..] => None,
            [first, ..] if network.prefix() >= 16 => Some(format!("{first:x}:")),
            _ => None,
        },
    }
}

/// By what the clients of a network are found; `None` for one of very many.
fn network_keys(network: &IpNetwork) -> Option<Vec<Key>> {
    /// The widest network that is looked for by the /24 networks in it.
    const WIDEST: u8 = 20;
    if is_single(network) {
        return Some(vec![Key::ip(network.ip())]);
    }
    match network.network() {
        IpAddr::V4(first) if network.prefix() >= WIDEST => {
            let networks = (0..256_u32 << (24 - network.prefix().min(24))).step_by(256);
            let first = u32::from(first);
            Some(networks.map(|apart| Key::network(IpAddr::from((first + apart).to_be_bytes()))).collect())
        }
        IpAddr::V6(_) if network.prefix() >= 48 => Some(vec![Key::network(network.network())]),
        _ => None,
    }
}

/// True for a name that can be a domain: labels with a dot between them.
fn is_domain(name: &str) -> bool {
    name.contains('.')
        && name
            .split('.')
            .all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_')))
}

fn is_same(bytes: &[u8], name: &str) -> bool {
    bytes.eq_ignore_ascii_case(name.as_bytes())
}

/// True for this address, or an address of this domain.
fn is_address(bytes: &[u8], name: &str) -> bool {
    is_same(bytes, name) || (!name.contains('@') && is_same(address::split(bytes).1, name))
}

fn is_in(ip: &Octets, network: &IpNetwork) -> bool {
    address::ip(ip).is_some_and(|ip| network.contains(ip))
}

fn has_message_id(message: &Message, id: &str) -> bool {
    // Postfix's are kept without brackets, Exim logs them so.
    message.message_id.as_ref().is_some_and(|known| address::unbracketed(known) == id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn what(said: &str) -> What {
        Target::new(said).unwrap().what
    }

    #[test]
    fn shapes_tell_what_is_meant() {
        let queue = |id: &str| What::Queue(QueueId::new(id.as_bytes()).unwrap());
        for id in ["3F2A11C0", "4gXh2K0T1dz9sWq", "1tXyZa-0001Ab-2c", "1tXyZa-00000001AbC-2cDe"] {
            assert_eq!((what(id), what(&format!("queue:{id}"))), (queue(id), queue(id)));
        }
        assert_eq!(what("198.51.100.7"), What::Network("198.51.100.7/32".parse().unwrap()));
        assert_eq!(what("[IPv6:2001:db8::7]"), What::Network("2001:db8::7/128".parse().unwrap()));
        assert_eq!(what("198.51.100.0/24"), What::Network("198.51.100.0/24".parse().unwrap()));
        assert_eq!(what("al@b.example"), What::Address("al@b.example".into()));
        assert_eq!(what("<al@b.example>"), What::Address("al@b.example".into()));
        assert_eq!(what("<7f3c>"), What::MessageId("7f3c".into()));
        assert_eq!(what("@b.example"), What::Domain("b.example".into()));
        assert_eq!(what("b.example"), What::Name("b.example".into()));
        assert_eq!(what("alice"), What::Name("alice".into()));
        assert_eq!(what("uid:33"), What::Uid("33".into()));
        assert_eq!(what("to:@b.example"), What::To("b.example".into()));
        assert_eq!(what("msgid:<k7@b.example>"), What::MessageId("k7@b.example".into()));
        for wrong in [
            "",
            "<>",
            "@",
            "sasl:",
            "from:<>",
            "queue:$(reboot)",
            "ip:198.51.100.300",
            "198.51.100.0/33",
            "/etc/passwd",
        ] {
            assert!(Target::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_in_small_letters_is_pointed_out() {
        assert!(Target::new("queue:3f2a11c0").unwrap_err().ends_with("did you mean 3F2A11C0?"));
        assert!(!Target::new("queue:no id").unwrap_err().contains("did you mean"));
    }

    #[test]
    fn a_mark_stands_in_every_way_to_write_an_address() {
        for (network, mark, texts) in [
            ("198.51.100.7", "198.51.100.7", &["198.51.100.7", "::ffff:198.51.100.7"][..]),
            ("198.51.100.0/24", "198.51.100.", &["198.51.100.255"]),
            ("198.51.96.0/20", "198.51.", &["198.51.100.255"]),
            ("2001:db8::/32", "2001:", &["2001:db8::7", "2001:0DB8:0:0:0:0:0:7"]),
        ] {
            let marks = Target::new(network).unwrap().marks().unwrap();
            assert_eq!(marks, [mark.as_bytes().to_vec()]);
            for text in texts {
                assert!(text.contains(mark), "{text}");
            }
        }
        assert_eq!(Target::new("192.0.2.0/23").unwrap().keys().unwrap().len(), 2);
        assert_eq!(Target::new("192.0.0.0/16").unwrap().keys(), None);
        assert_eq!(Target::new("::1").unwrap().marks(), None);
        assert_eq!(Target::new("0.0.0.0/0").unwrap().marks(), None);
    }
}
