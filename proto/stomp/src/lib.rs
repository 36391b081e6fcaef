//! stomp
#![no_std]
