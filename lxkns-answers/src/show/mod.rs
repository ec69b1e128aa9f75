//! Everything about one namespace or process.

mod answer;
mod namespace;
pub(crate) mod network;
mod network_answer;
mod process;

pub use answer::*;
pub use namespace::{ShownNamespace, Unread};
pub use network_answer::{
    AddressAnswer, BriefProcess, HopAnswer, LinkAnswer, NetworkAnswer, OtherEndAnswer, RouteAnswer, SocketAnswer,
    SocketUserAnswer,
};
pub use process::{Label, Reference, ShownProcess};

#[cfg(test)]
mod tests;
