//! Passwords as RFC 5802 salts them: `Hi`, which is PBKDF2 (RFC 8018) with HMAC and as long as the hash.

use pbkdf2::pbkdf2_hmac_array;
use sha2::{Sha256, Sha512};

/// With HMAC-SHA-256.
pub fn sha256(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 32] {
    pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations)
}

/// With HMAC-SHA-512.
pub fn sha512(password: &[u8], salt: &[u8], iterations: u32) -> [u8; 64] {
    pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn salts_as_the_vectors_of_others() {
        // RFC 7914, section 11.
        assert_eq!(sha256(b"passwd", b"salt", 1)[..8], [0x55, 0xac, 0x04, 0x6e, 0x56, 0xe3, 0x08, 0x9f]);
        assert_eq!(sha256(b"Password", b"NaCl", 80_000)[..8], [0x4d, 0xdc, 0xd8, 0xf6, 0x0b, 0x98, 0xbe, 0x21]);
    }
}
