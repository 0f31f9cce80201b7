//! The real binary, run as people and scripts run it.

mod admin;
mod backup;
mod demo;
mod document;
mod listen;
mod operations;
mod postgres;
mod settings;
mod setup;
mod start;
mod support;
