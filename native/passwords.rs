//! Salting passwords on the core's thread for what can wait.

use millrace_core::stdx::{background, salting};
use napi::bindgen_prelude::{Object, Uint8Array};
use napi::{Env, Error, Status};
use napi_derive::napi;

use crate::convert::misuse;

/// PBKDF2 with HMAC of this hash, as long as the hash. Throws where too many wait.
#[napi(ts_return_type = "Promise<Uint8Array>")]
#[allow(clippy::needless_pass_by_value, reason = "napi hands strings and arrays over as values")]
pub fn salt_password(
    env: &Env,
    hash: String,
    password: Uint8Array,
    salt: Uint8Array,
    iterations: u32,
) -> napi::Result<Object<'_>> {
    let work: fn(&[u8], &[u8], u32) -> Vec<u8> = match hash.as_str() {
        "sha256" => |password, salt, iterations| salting::sha256(password, salt, iterations).into(),
        "sha512" => |password, salt, iterations| salting::sha512(password, salt, iterations).into(),
        _ => return Err(misuse("the hash is sha256 or sha512")),
    };
    let (deferred, promise) = env.create_deferred()?;
    let (password, salt) = (password.to_vec(), salt.to_vec());
    let is_taken = background::run(move || {
        let salted = work(&password, &salt, iterations);
        deferred.resolve(move |_| Ok(Uint8Array::from(salted)));
    });
    if is_taken { Ok(promise) } else { Err(Error::new(Status::QueueFull, "too many passwords wait to be salted")) }
}
