//! The engine of one session: inputs and time go in, actions come out; it touches nothing itself.

pub mod answer;
pub mod policy;
