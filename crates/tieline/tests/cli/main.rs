//! The real binary, run as people and scripts run it.

mod admin;
mod backup;
mod clients;
mod demo;
mod document;
mod guide;
mod import;
mod listen;
mod move_store;
mod operations;
mod postgres;
mod settings;
mod setup;
mod start;
mod support;
