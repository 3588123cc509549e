//! Short texts of a log, owned.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::dictionary;

/// Bytes of a log line, kept. Up to [`Self::INLINE`] of them (an IPv4 address, a service, most logins) stand in the value
/// itself; longer texts are shared by all clones. Either way a clone allocates nothing.
#[derive(Clone)]
pub struct Octets(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; Octets::INLINE] },
    Shared(Arc<[u8]>),
}

impl Octets {
    /// The most that makes no value larger than a shared one.
    const INLINE: usize = 22;

    pub const fn new() -> Self {
        Self(Repr::Inline { len: 0, bytes: [0; Self::INLINE] })
    }

    /// The same in lower case.
    pub fn lowered(text: &[u8]) -> Self {
        if text.iter().any(u8::is_ascii_uppercase) { text.to_ascii_lowercase().into() } else { text.into() }
    }
}

impl Default for Octets {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Octets {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Octets {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl From<&[u8]> for Octets {
    fn from(text: &[u8]) -> Self {
        let mut bytes = [0; Self::INLINE];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(front), Ok(len)) => {
                front.copy_from_slice(text);
                Self(Repr::Inline { len, bytes })
            }
            _ => Self(Repr::Shared(text.into())),
        }
    }
}

impl From<Vec<u8>> for Octets {
    fn from(text: Vec<u8>) -> Self {
        text.as_slice().into()
    }
}

impl From<Cow<'_, [u8]>> for Octets {
    fn from(text: Cow<'_, [u8]>) -> Self {
        text.as_ref().into()
    }
}

impl FromIterator<u8> for Octets {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        bytes.into_iter().collect::<Vec<_>>().into()
    }
}

/// In one piece: the archive holds texts by the million.
impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        dictionary::write_text(self, serializer)
    }
}

/// Only from a form that the bytes can be borrowed from.
impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        dictionary::read_text(deserializer)
    }
}

impl PartialEq for Octets {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Octets {}

impl PartialEq<[u8]> for Octets {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl PartialOrd for Octets {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Octets {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Octets {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.escape_ascii().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_wherever_it_is_kept() {
        assert_eq!(size_of::<Octets>(), size_of::<Option<Octets>>());
        let texts: Vec<Vec<u8>> = (0..64).map(|len| vec![b'a' + len % 7; usize::from(len)]).collect();
        for text in &texts {
            let kept = Octets::from(text.as_slice());
            assert_eq!((&*kept, kept.clone()), (text.as_slice(), kept.clone()));
            for other in &texts {
                assert_eq!(kept.cmp(&Octets::from(other.as_slice())), text.cmp(other));
            }
        }
        assert_eq!(&*Octets::lowered(b"MX1.Example"), b"mx1.example");
    }
}
