//! A story as text, as tables, and in the forms that other programs import.

pub mod ecs;
pub mod json;
pub mod lists;
pub mod manifest;
pub mod rows;
pub mod text;
