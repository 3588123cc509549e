//! Who is responsible for a message.

use super::status::words;

words! {
    /// What kind of responsibility the log shows, strongest first (contract.md section 3). `Unknown` is printed as
    /// nothing: a message whose beginning the log does not hold.
    IdentityKind {
        /// The SASL or AUTH login.
        Sasl = "sasl",
        /// The local user or script that called the sendmail command: Postfix's number, Exim's name.
        Uid = "uid",
        /// The IP of a client that relayed to elsewhere without a login.
        Client = "client",
        /// The envelope sender of mail from outside.
        Sender = "sender",
        /// The null sender: per client, or this host's own bounces under its name.
        Null = "null",
        Unknown = "",
    }
}

impl IdentityKind {
    /// True for those whose mail this host sends for them: it can act on them.
    pub const fn is_our_user(self) -> bool {
        matches!(self, Self::Sasl | Self::Uid | Self::Client)
    }
}
