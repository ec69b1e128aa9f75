//! Pure functions over the model: how namespaces, processes and threads hang together.

mod leaders;

pub(crate) use leaders::members;
