//! What tests share; a development dependency only.

pub mod clock;
pub mod openapi;
pub mod postgres;
pub mod proxy;
pub mod sim;
