//! Signs with the lab's test keys, at one fixed time: same input, same bytes.
//!
//! The keys are public and committed (`base-images/lab/keys`); nothing outside
//! the lab may trust them. Signatures are RSA over SHA-256, version 4, without
//! salt (RFC 9580), which gpg, sqv, rpm 4 and rpm 6 all accept.

use pgp::composed::{
    ArmorOptions, CleartextSignedMessage, Deserializable, DetachedSignature, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{
    PacketTrait, Signature, SignatureConfig, SignatureType, Subpacket, SubpacketData,
};
use pgp::ser::Serialize;
use pgp::types::{KeyDetails, Password, Timestamp};

/// The time of every signature and of every built package: 2025-01-01, UTC.
/// The keys are one year older.
pub(crate) const BUILD_TIME: u32 = 1_735_689_600;

/// A test key that cannot be used, or a signature that failed.
#[derive(Debug, thiserror::Error)]
#[error("test key `{key}`: {source}")]
pub(crate) struct SignError {
    key: &'static str,
    source: Box<pgp::errors::Error>,
}

/// One test key.
#[derive(Debug)]
pub(crate) struct Key {
    name: &'static str,
    secret: SignedSecretKey,
}

impl Key {
    /// Reads an armored secret key.
    ///
    /// # Errors
    /// `SignError` when the text is no usable key.
    pub(crate) fn read(name: &'static str, armored: &str) -> Result<Self, SignError> {
        let fault = |source| SignError {
            key: name,
            source: Box::new(source),
        };
        let (secret, _) = SignedSecretKey::from_string(armored).map_err(fault)?;
        secret.verify_bindings().map_err(fault)?;
        Ok(Self { name, secret })
    }

    /// The short name, which is also that of its files.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The fingerprint, 40 capital hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> String {
        format!("{:X}", self.secret.fingerprint())
    }

    /// The public key in armor.
    ///
    /// # Errors
    /// `SignError` when it cannot be written.
    pub(crate) fn public_armored(&self) -> Result<Vec<u8>, SignError> {
        self.secret
            .to_public_key()
            .to_armored_bytes(ArmorOptions::default())
            .map_err(|e| self.fault(e))
    }

    /// The public key without armor.
    ///
    /// # Errors
    /// `SignError` when it cannot be written.
    pub(crate) fn public_binary(&self) -> Result<Vec<u8>, SignError> {
        self.secret
            .to_public_key()
            .to_bytes()
            .map_err(|e| self.fault(e))
    }

    /// A detached signature without armor, as pacman reads it.
    ///
    /// # Errors
    /// `SignError` when signing fails.
    pub(crate) fn detached(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        let mut bytes = Vec::new();
        self.signature(data)?
            .to_writer_with_header(&mut bytes)
            .map_err(|e| self.fault(e))?;
        Ok(bytes)
    }

    /// A detached signature in armor, as apt and dnf read it.
    ///
    /// # Errors
    /// `SignError` when signing fails.
    pub(crate) fn detached_armored(&self, data: &[u8]) -> Result<Vec<u8>, SignError> {
        DetachedSignature::new(self.signature(data)?)
            .to_armored_bytes(ArmorOptions::default())
            .map_err(|e| self.fault(e))
    }

    /// The text with its signature in the cleartext framework (RFC 9580, 7).
    ///
    /// # Errors
    /// `SignError` when signing fails.
    pub(crate) fn cleartext(&self, text: &str) -> Result<Vec<u8>, SignError> {
        let config = self.config(SignatureType::Text)?;
        CleartextSignedMessage::new(text, config, &self.secret.primary_key, &Password::empty())
            .and_then(|message| message.to_armored_bytes(ArmorOptions::default()))
            .map_err(|e| self.fault(e))
    }

    fn signature(&self, data: &[u8]) -> Result<Signature, SignError> {
        self.config(SignatureType::Binary)?
            .sign(&self.secret.primary_key, &Password::empty(), data)
            .map_err(|e| self.fault(e))
    }

    fn config(&self, kind: SignatureType) -> Result<SignatureConfig, SignError> {
        let key = &self.secret.primary_key;
        let mut config = SignatureConfig::v4(kind, key.algorithm(), HashAlgorithm::Sha256);
        for data in [
            SubpacketData::SignatureCreationTime(Timestamp::from_secs(BUILD_TIME)),
            SubpacketData::IssuerFingerprint(key.fingerprint()),
        ] {
            config
                .hashed_subpackets
                .push(Subpacket::regular(data).map_err(|e| self.fault(e))?);
        }
        let issuer = Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()));
        config
            .unhashed_subpackets
            .push(issuer.map_err(|e| self.fault(e))?);
        Ok(config)
    }

    fn fault(&self, source: pgp::errors::Error) -> SignError {
        SignError {
            key: self.name,
            source: Box::new(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_committed_key_signs_and_signs_alike() {
        for (name, armored) in crate::data::KEYS {
            let key = Key::read(name, armored).expect("a committed key");
            assert_eq!(key.fingerprint().len(), 40);
            assert_eq!(
                key.detached(b"x").expect("signs"),
                key.detached(b"x").expect("signs")
            );
            let public = key.secret.to_public_key();
            DetachedSignature::new(key.signature(b"x").expect("signs"))
                .verify(&public, b"x")
                .expect("its own signature");
            assert!(
                DetachedSignature::new(key.signature(b"x").expect("signs"))
                    .verify(&public, b"y")
                    .is_err()
            );
            let message = key.cleartext("one\n- two\n").expect("signs");
            let text = String::from_utf8(message).expect("armor is text");
            let (read, _) = CleartextSignedMessage::from_string(&text).expect("well formed");
            read.verify(&public.primary_key).expect("its own signature");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        assert!(Key::read("none", "nothing").is_err());
    }
}
