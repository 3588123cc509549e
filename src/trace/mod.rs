//! From one suspicion to its whole story: all that the logs hold about one login, script, message, client, address or
//! domain, in the order of time, with what sets its mail apart and who else was there. No logs are read here, and nothing
//! is formatted beyond a story's own sentences.

pub mod found;
pub mod owner;
pub mod reuse;
pub mod story;
pub mod target;

pub use self::found::{Found, Sent};
pub use self::owner::{Fit, Group, Judgement};
pub use self::story::{Facts, Story};
pub use self::target::{Roles, Target, What};
