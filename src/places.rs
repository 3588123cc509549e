//! Where addresses are: country and autonomous system, by databases in MaxMind's format (GeoLite2 and GeoIP2 ASN, ISP,
//! Country, City, what others ship in the same form, and IPinfo's).

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::mail::address::{is_own_network, printable};

/// Where one address is, as far as the databases say.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// ISO 3166-1, two letters; where a country is not told, the one that the network is registered in.
    pub country: Option<Box<str>>,
    /// Number of the autonomous system.
    pub system: Option<u32>,
    /// Whose system it is.
    pub organisation: Option<Box<str>>,
}

impl Place {
    pub const fn is_known(&self) -> bool {
        self.country.is_some() || self.system.is_some()
    }

    /// For `findings.evidence`.
    pub fn to_json(&self) -> Value {
        let text = |text: &Option<Box<str>>| text.as_ref().map(|text| printable(text.as_bytes()).into_owned());
        json!({ "country": text(&self.country), "as": self.system, "as_name": text(&self.organisation) })
    }
}

/// What a run knows of places; nothing without a database.
#[derive(Debug, Default)]
pub struct Places(Vec<Database>);

#[derive(Debug)]
struct Database {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
}

/// The fields that are read, of whichever of MaxMind's schemas (dev.maxmind.com/geoip/docs/databases).
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    #[serde(borrow)]
    registered_country: Option<Country<'a>>,
    #[serde(borrow)]
    autonomous_system_number: Option<System<'a>>,
    autonomous_system_organization: Option<&'a str>,
    /// IPinfo's layout (ipinfo.io/developers/database-types): `AS3320`, its owner, and the country by its code alone.
    #[serde(borrow)]
    asn: Option<System<'a>>,
    as_name: Option<&'a str>,
    country_code: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Country<'a> {
    Record {
        iso_code: Option<&'a str>,
    },
    /// A code, or a name in words.
    Text(&'a str),
    Other(IgnoredAny),
}

/// Number of a system, of whatever width.
#[derive(Deserialize)]
#[serde(untagged)]
enum System<'a> {
    Number(u64),
    Text(&'a str),
    Other(IgnoredAny),
}

impl Country<'_> {
    fn code(&self) -> Option<Box<str>> {
        match self {
            Self::Record { iso_code } => iso_code.map(Box::from),
            Self::Text(text) => is_code(text).then(|| Box::from(*text)),
            Self::Other(_) => None,
        }
    }
}

/// True for two letters (ISO 3166-1).
fn is_code(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|b| b.is_ascii_alphabetic())
}

impl System<'_> {
    fn number(&self) -> Option<u32> {
        match self {
            Self::Number(number) => u32::try_from(*number).ok(),
            Self::Text(text) => text.trim_start_matches(['A', 'S', 'a', 's']).parse().ok(),
            Self::Other(_) => None,
        }
    }
}

impl Record<'_> {
    fn place(&self) -> Place {
        let code = |country: &Option<Country<'_>>| country.as_ref().and_then(Country::code);
        let by_code = || self.country_code.filter(|text| is_code(text)).map(Box::from);
        let number = |system: &Option<System<'_>>| system.as_ref().and_then(System::number);
        Place {
            country: code(&self.country).or_else(by_code).or_else(|| code(&self.registered_country)),
            system: number(&self.autonomous_system_number).or_else(|| number(&self.asn)),
            organisation: self.autonomous_system_organization.or(self.as_name).map(Box::from),
        }
    }
}

/// Networks at the beginning of a database of which one must say something that is known here.
const SAMPLES: usize = 1_000;

impl Places {
    /// Reads databases whole into memory.
    ///
    /// # Errors
    /// [`Error::Usage`] for a file that cannot be read, is no such database, or says neither country nor system.
    pub fn open(paths: &[PathBuf]) -> Result<Self> {
        paths.iter().map(|path| Database::open(path)).collect::<Result<_>>().map(Self)
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where an address is. Of several databases the first that knows a thing tells it. Addresses of private and own
    /// networks are nowhere.
    pub fn of(&self, ip: IpAddr) -> Place {
        let mut found = Place::default();
        if is_own_network(ip) {
            return found;
        }
        for database in &self.0 {
            let place = database.place(ip);
            found.country = found.country.or(place.country);
            if found.system.is_none() {
                (found.system, found.organisation) = (place.system, place.organisation);
            }
        }
        found
    }

    /// The databases for `summary.json`: which they are, and how old.
    pub fn to_json(&self) -> Value {
        let one = |database: &Database| {
            let metadata = database.reader.metadata();
            let built = jiff::Timestamp::from_second(metadata.build_epoch.try_into().unwrap_or(i64::MAX));
            json!({
                "file": printable(database.path.as_os_str().as_encoded_bytes()),
                "type": printable(metadata.database_type.as_bytes()),
                "built": built.ok().map(|at| at.to_string()),
            })
        };
        self.0.iter().map(one).collect()
    }
}

impl Database {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |problem: String| {
            Error::Usage(format!(
                "--mmdb {}: {problem}; give a database in MaxMind's format, such as GeoLite2-ASN.mmdb or GeoLite2-Country.mmdb",
                printable(path.as_os_str().as_encoded_bytes())
            ))
        };
        let reader = Reader::open_readfile(path).map_err(|error| match error {
            MaxMindDbError::Io(error) => wrong(format!("cannot be read: {error}")),
            error => wrong(error.to_string()),
        })?;
        let database = Self { path: path.into(), reader };
        match database.says_something() {
            Ok(true) => Ok(database),
            Ok(false) => {
                let kind = printable(database.reader.metadata().database_type.as_bytes()).into_owned();
                Err(wrong(format!("it is of the type {kind}, which tells neither countries nor AS numbers")))
            }
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// True where one of the first networks has a country or a system.
    fn says_something(&self) -> std::result::Result<bool, MaxMindDbError> {
        for network in self.reader.networks(maxminddb::WithinOptions::default())?.take(SAMPLES) {
            if network?.decode::<Record<'_>>()?.is_some_and(|record| record.place().is_known()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Nowhere, where the database has no IPv6 or is damaged in this place.
    fn place(&self, ip: IpAddr) -> Place {
        let record = self.reader.lookup(ip).and_then(|found| found.decode::<Record<'_>>());
        record.ok().flatten().map(|record| record.place()).unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "../fixtures/mmdb.rs"]
mod mmdb;

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("mailsleuth-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn several_databases_tell_of_one_address() {
        let countries = mmdb::database(
            "GeoLite2-City",
            &[
                (
                    "192.0.2.0/24",
                    json!({ "city": { "geoname_id": 1 }, "country": { "geoname_id": 2, "iso_code": "DE" } }),
                ),
                ("198.51.100.0/25", json!({ "registered_country": { "iso_code": "FR" } })),
                ("2001:db8::/32", json!({ "country": { "iso_code": "NL" } })),
            ],
        );
        let system = json!({ "autonomous_system_number": 64_496, "autonomous_system_organization": "A Carrier" });
        let systems = mmdb::database("GeoLite2-ASN", &[("192.0.2.128/25", system.clone()), ("10.0.0.0/8", system)]);
        let paths = [saved("city.mmdb", &countries), saved("asn.mmdb", &systems)];
        let places = Places::open(&paths).unwrap();
        paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let of = |text: &str| {
            let place = places.of(text.parse().unwrap());
            (place.country.as_deref().unwrap_or("").to_string(), place.system.unwrap_or(0))
        };
        assert_eq!(of("192.0.2.200"), ("DE".into(), 64_496));
        assert_eq!(of("192.0.2.7"), ("DE".into(), 0));
        assert_eq!(of("198.51.100.1"), ("FR".into(), 0));
        assert_eq!(of("198.51.100.200"), (String::new(), 0));
        assert_eq!(of("2001:db8:7::1"), ("NL".into(), 0));
        // A private address is nowhere, whatever a database says.
        assert_eq!(of("10.1.2.3"), (String::new(), 0));
        assert_eq!(places.to_json()[1]["built"], "2025-12-01T00:00:00Z");
    }

    #[test]
    fn other_layouts_and_widths_tell_the_same() {
        // AS numbers are written as wide as they are: in two bytes, or four.
        let free = mmdb::database(
            "ipinfo generic_country_asn_free_country_asn.mmdb",
            &[(
                "192.0.2.0/24",
                json!({ "asn": "AS3320", "as_name": "A Carrier", "country": "DE", "country_name": "Germany" }),
            )],
        );
        let lite = mmdb::database(
            "ipinfo lite",
            &[
                ("198.51.100.0/24", json!({ "asn": "AS4200000000", "country": "France", "country_code": "FR" })),
                ("203.0.113.0/24", json!({ "asn": "", "country": ["what", "is", "this"] })),
            ],
        );
        let number = |number: u32| json!({ "autonomous_system_number": number });
        let wide = mmdb::database(
            "GeoLite2-ASN",
            &[("192.0.2.0/25", number(64_496)), ("203.0.114.0/24", number(4_200_000_000))],
        );
        let of = |name: &str, bytes: &[u8], ip: &str| {
            let path = saved(name, bytes);
            let places = Places::open(std::slice::from_ref(&path)).map_err(|error| error.to_string()).unwrap();
            std::fs::remove_file(path).unwrap();
            let place = places.of(ip.parse().unwrap());
            (place.country.as_deref().unwrap_or("").to_string(), place.system.unwrap_or(0))
        };
        assert_eq!(of("free.mmdb", &free, "192.0.2.7"), ("DE".into(), 3_320));
        assert_eq!(of("lite.mmdb", &lite, "198.51.100.7"), ("FR".into(), 4_200_000_000));
        assert_eq!(of("lite2.mmdb", &lite, "203.0.113.7"), (String::new(), 0));
        assert_eq!(of("wide.mmdb", &wide, "192.0.2.7"), (String::new(), 64_496));
        assert_eq!(of("wide2.mmdb", &wide, "203.0.114.7"), (String::new(), 4_200_000_000));
    }

    #[test]
    fn a_file_that_is_no_database_of_places_is_named() {
        let says = |name: &str, bytes: &[u8]| {
            let path = saved(name, bytes);
            let said = Places::open(std::slice::from_ref(&path)).err().map(|error| error.to_string());
            std::fs::remove_file(path).unwrap();
            said.unwrap_or_default()
        };
        let said = says("text.mmdb", b"not one");
        assert!(said.contains("text.mmdb: ") && said.contains("GeoLite2-ASN.mmdb"), "{said}");
        let domains = mmdb::database("GeoIP2-Domain", &[("192.0.2.0/24", json!({ "domain": "example.com" }))]);
        let said = says("domain.mmdb", &domains);
        assert!(said.contains("GeoIP2-Domain, which tells neither"), "{said}");
        let missing = Places::open(&["no-such.mmdb".into()]).err().map(|e| (e.exit_status(), e.to_string()));
        assert!(missing.is_some_and(|(status, said)| status == 2 && said.contains("cannot be read")));
        // Cut anywhere, it is refused or read, and never breaks.
        let whole = mmdb::database("GeoLite2-Country", &[("192.0.2.0/24", json!({ "country": { "iso_code": "DE" } }))]);
        for cut in (0..whole.len()).step_by(7) {
            let path = saved("cut.mmdb", &whole[cut..]);
            _ = Places::open(std::slice::from_ref(&path)).map(|places| places.of(IpAddr::from([192, 0, 2, 1])));
            std::fs::remove_file(path).unwrap();
        }
    }
}
