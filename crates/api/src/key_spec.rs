//! Key specs, key usages and algorithms, and which go together.
//!
//! Source: KMS API model (`KeySpec`, `KeyUsageType` and the `…AlgorithmSpec` enumerations); AWS KMS Developer Guide, "Key spec
//! reference". Where a refused value lists the accepted ones, they stand in the order of the enumeration: AWS's own, where it is
//! known.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Region;

/// An enumeration of the API: a member of a request may hold any of its values, spelt as AWS does.
pub trait Word: Copy + 'static {
    /// Every value.
    const ALL: &'static [Self];
    /// Every value in AWS's spelling, in the order of [`Word::ALL`].
    const NAMES: &'static [&'static str];
}

/// An enumeration whose values AWS spells in one way everywhere.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$what:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$what])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// Every value in AWS's spelling, in the order of [`Self::ALL`].
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// AWS's spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The value that AWS spells like this.
            pub fn named(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|value| value.as_str() == text)
            }
        }

        impl Word for $name {
            const ALL: &'static [$name] = $name::ALL;
            const NAMES: &'static [&'static str] = $name::NAMES;
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// The kind of material that a KMS key has.
    KeySpec {
        /// RSA, 2048-bit modulus.
        Rsa2048 = "RSA_2048",
        /// RSA, 3072-bit modulus.
        Rsa3072 = "RSA_3072",
        /// RSA, 4096-bit modulus.
        Rsa4096 = "RSA_4096",
        /// NIST P-256.
        EccNistP256 = "ECC_NIST_P256",
        /// NIST P-384.
        EccNistP384 = "ECC_NIST_P384",
        /// NIST P-521.
        EccNistP521 = "ECC_NIST_P521",
        /// secp256k1.
        EccSecgP256k1 = "ECC_SECG_P256K1",
        /// Ed25519.
        EccNistEdwards25519 = "ECC_NIST_EDWARDS25519",
        /// 256-bit AES, for ciphertexts that only KMS opens.
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// HMAC with SHA-224.
        Hmac224 = "HMAC_224",
        /// HMAC with SHA-256.
        Hmac256 = "HMAC_256",
        /// HMAC with SHA-384.
        Hmac384 = "HMAC_384",
        /// HMAC with SHA-512.
        Hmac512 = "HMAC_512",
        /// SM2, in China Regions only.
        Sm2 = "SM2",
        /// ML-DSA-44.
        MlDsa44 = "ML_DSA_44",
        /// ML-DSA-65.
        MlDsa65 = "ML_DSA_65",
        /// ML-DSA-87.
        MlDsa87 = "ML_DSA_87",
        /// ML-KEM-512.
        MlKem512 = "ML_KEM_512",
        /// ML-KEM-768.
        MlKem768 = "ML_KEM_768",
        /// ML-KEM-1024.
        MlKem1024 = "ML_KEM_1024",
    }
}

words! {
    /// What a KMS key is for.
    KeyUsage {
        /// Sign and Verify.
        SignVerify = "SIGN_VERIFY",
        /// Encrypt, Decrypt, ReEncrypt and the data-key operations.
        EncryptDecrypt = "ENCRYPT_DECRYPT",
        /// GenerateMac and VerifyMac.
        GenerateVerifyMac = "GENERATE_VERIFY_MAC",
        /// DeriveSharedSecret.
        KeyAgreement = "KEY_AGREEMENT",
        /// Encapsulate and Decapsulate.
        EncapsulateDecapsulate = "ENCAPSULATE_DECAPSULATE",
    }
}

words! {
    /// How data is encrypted.
    EncryptionAlgorithm {
        /// AES-256-GCM with the encryption context as additional data.
        SymmetricDefault = "SYMMETRIC_DEFAULT",
        /// RSA-OAEP with SHA-1 and MGF1 of SHA-1 (RFC 8017, 7.1).
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256 and MGF1 of SHA-256 (RFC 8017, 7.1).
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
        /// SM2 public-key encryption (GB/T 32918.4).
        Sm2Pke = "SM2PKE",
    }
}

words! {
    /// How messages are signed.
    SigningAlgorithm {
        /// RSA-PSS with SHA-256, salt as long as the digest.
        RsassaPssSha256 = "RSASSA_PSS_SHA_256",
        /// RSA-PSS with SHA-384, salt as long as the digest.
        RsassaPssSha384 = "RSASSA_PSS_SHA_384",
        /// RSA-PSS with SHA-512, salt as long as the digest.
        RsassaPssSha512 = "RSASSA_PSS_SHA_512",
        /// RSA PKCS#1 v1.5 with SHA-256.
        RsassaPkcs1V15Sha256 = "RSASSA_PKCS1_V1_5_SHA_256",
        /// RSA PKCS#1 v1.5 with SHA-384.
        RsassaPkcs1V15Sha384 = "RSASSA_PKCS1_V1_5_SHA_384",
        /// RSA PKCS#1 v1.5 with SHA-512.
        RsassaPkcs1V15Sha512 = "RSASSA_PKCS1_V1_5_SHA_512",
        /// ECDSA with SHA-256, DER signatures.
        EcdsaSha256 = "ECDSA_SHA_256",
        /// ECDSA with SHA-384, DER signatures.
        EcdsaSha384 = "ECDSA_SHA_384",
        /// ECDSA with SHA-512, DER signatures.
        EcdsaSha512 = "ECDSA_SHA_512",
        /// Ed25519 (RFC 8032).
        Ed25519Sha512 = "ED25519_SHA_512",
        /// Ed25519ph (RFC 8032), empty context.
        Ed25519PhSha512 = "ED25519_PH_SHA_512",
        /// SM2 with SM3 and the default distinguishing ID (GB/T 32918.2).
        Sm2Dsa = "SM2DSA",
        /// ML-DSA (FIPS 204), empty context.
        MlDsaShake256 = "ML_DSA_SHAKE_256",
    }
}

words! {
    /// What the message of Sign and Verify is. Source: AWS KMS API Reference, Sign, `MessageType`.
    MessageType {
        /// The message itself.
        Raw = "RAW",
        /// The digest of the message by the signing algorithm's hash function.
        Digest = "DIGEST",
        /// The 64-byte representative of the message (FIPS 204, 6.2), for ML-DSA.
        ExternalMu = "EXTERNAL_MU",
    }
}

words! {
    /// How message authentication codes are made.
    MacAlgorithm {
        /// 48 bytes.
        HmacSha384 = "HMAC_SHA_384",
        /// 32 bytes.
        HmacSha256 = "HMAC_SHA_256",
        /// 28 bytes.
        HmacSha224 = "HMAC_SHA_224",
        /// 64 bytes.
        HmacSha512 = "HMAC_SHA_512",
    }
}

words! {
    /// How a secret is agreed on.
    KeyAgreementAlgorithm {
        /// The x coordinate of the shared point (NIST SP 800-56A, 5.7.1.2).
        Ecdh = "ECDH",
    }
}

words! {
    /// How a secret is encapsulated.
    EncapsulationAlgorithm {
        /// FIPS 203.
        MlKem = "ML_KEM",
    }
}

words! {
    /// How key material is wrapped to be imported.
    WrappingAlgorithm {
        /// RSA PKCS#1 v1.5; AWS has not offered it since October 2023.
        RsaesPkcs1V15 = "RSAES_PKCS1_V1_5",
        /// RSA-OAEP with SHA-1.
        RsaesOaepSha1 = "RSAES_OAEP_SHA_1",
        /// RSA-OAEP with SHA-256.
        RsaesOaepSha256 = "RSAES_OAEP_SHA_256",
        /// AES key wrap with padding (RFC 5649) under an AES key that is wrapped with RSA-OAEP and SHA-1.
        RsaAesKeyWrapSha1 = "RSA_AES_KEY_WRAP_SHA_1",
        /// AES key wrap with padding (RFC 5649) under an AES key that is wrapped with RSA-OAEP and SHA-256.
        RsaAesKeyWrapSha256 = "RSA_AES_KEY_WRAP_SHA_256",
        /// SM2 public-key encryption, in China Regions only.
        Sm2Pke = "SM2PKE",
    }
}

words! {
    /// The kind of key that wraps material to be imported.
    WrappingKeySpec {
        /// RSA, 2048-bit modulus.
        Rsa2048 = "RSA_2048",
        /// RSA, 3072-bit modulus.
        Rsa3072 = "RSA_3072",
        /// RSA, 4096-bit modulus.
        Rsa4096 = "RSA_4096",
        /// SM2, in China Regions only.
        Sm2 = "SM2",
    }
}

impl SigningAlgorithm {
    /// How long a DIGEST, or an EXTERNAL_MU, is in bytes; `None` for the algorithm that takes neither.
    pub fn digest_bytes(self) -> Option<usize> {
        use SigningAlgorithm as S;
        match self {
            S::RsassaPssSha256 | S::RsassaPkcs1V15Sha256 | S::EcdsaSha256 | S::Sm2Dsa => Some(32),
            S::RsassaPssSha384 | S::RsassaPkcs1V15Sha384 | S::EcdsaSha384 => Some(48),
            S::RsassaPssSha512 | S::RsassaPkcs1V15Sha512 | S::EcdsaSha512 => Some(64),
            S::Ed25519PhSha512 | S::MlDsaShake256 => Some(64),
            S::Ed25519Sha512 => None,
        }
    }

    /// What a message may be that is signed in this way.
    ///
    /// Source: AWS KMS API Reference, Sign, `MessageType`.
    pub fn message_types(self) -> &'static [MessageType] {
        match self {
            SigningAlgorithm::Ed25519Sha512 => &[MessageType::Raw],
            SigningAlgorithm::Ed25519PhSha512 => &[MessageType::Digest],
            SigningAlgorithm::MlDsaShake256 => &[MessageType::Raw, MessageType::ExternalMu],
            _ => &[MessageType::Raw, MessageType::Digest],
        }
    }
}

impl KeySpec {
    /// The usages that a key of this spec may be made for; where there is one only, it still must be named unless the key is
    /// a symmetric encryption key.
    pub fn usages(self) -> &'static [KeyUsage] {
        use KeyUsage::{EncapsulateDecapsulate, EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};
        match self {
            KeySpec::SymmetricDefault => &[EncryptDecrypt],
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[EncryptDecrypt, SignVerify],
            KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 => &[SignVerify, KeyAgreement],
            KeySpec::EccSecgP256k1 | KeySpec::EccNistEdwards25519 => &[SignVerify],
            KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512 => &[GenerateVerifyMac],
            KeySpec::Sm2 => &[EncryptDecrypt, SignVerify, KeyAgreement],
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[SignVerify],
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => &[EncapsulateDecapsulate],
        }
    }

    /// Whether the Region offers keys and data key pairs of this spec: SM2 only the China Regions, ML-KEM all but those.
    ///
    /// Source: AWS KMS API Reference, CreateKey, `KeySpec`.
    pub fn is_offered_in(self, region: Region) -> bool {
        let in_china = region.partition() == "aws-cn";
        match self {
            KeySpec::Sm2 => in_china,
            KeySpec::MlKem512 | KeySpec::MlKem768 | KeySpec::MlKem1024 => !in_china,
            _ => true,
        }
    }

    /// The most that an ENCRYPT_DECRYPT key of this spec encrypts at once with `algorithm`, in bytes; `None` where it does not
    /// have the algorithm.
    ///
    /// Source: AWS KMS API Reference, Encrypt; RFC 8017, 7.1.1 (modulus less two digests and two bytes).
    pub fn largest_plaintext(self, algorithm: EncryptionAlgorithm) -> Option<usize> {
        let modulus = match self {
            KeySpec::Rsa2048 => 256,
            KeySpec::Rsa3072 => 384,
            KeySpec::Rsa4096 => 512,
            _ => 0,
        };
        self.encryption_algorithms().contains(&algorithm).then(|| match algorithm {
            EncryptionAlgorithm::SymmetricDefault => 4096,
            EncryptionAlgorithm::RsaesOaepSha1 => modulus - 2 * 20 - 2,
            EncryptionAlgorithm::RsaesOaepSha256 => modulus - 2 * 32 - 2,
            EncryptionAlgorithm::Sm2Pke => 1024,
        })
    }

    /// Whether there is a public key.
    pub fn is_asymmetric(self) -> bool {
        self != KeySpec::SymmetricDefault && !self.is_hmac()
    }

    /// Whether the key makes message authentication codes.
    pub fn is_hmac(self) -> bool {
        matches!(self, KeySpec::Hmac224 | KeySpec::Hmac256 | KeySpec::Hmac384 | KeySpec::Hmac512)
    }

    /// What an ENCRYPT_DECRYPT key of this spec encrypts with.
    pub fn encryption_algorithms(self) -> &'static [EncryptionAlgorithm] {
        use EncryptionAlgorithm::{RsaesOaepSha1, RsaesOaepSha256, Sm2Pke, SymmetricDefault};
        match self {
            KeySpec::SymmetricDefault => &[SymmetricDefault],
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[RsaesOaepSha1, RsaesOaepSha256],
            KeySpec::Sm2 => &[Sm2Pke],
            _ => &[],
        }
    }

    /// What a SIGN_VERIFY key of this spec signs with.
    pub fn signing_algorithms(self) -> &'static [SigningAlgorithm] {
        use SigningAlgorithm as S;
        match self {
            KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
                S::RsassaPkcs1V15Sha256,
                S::RsassaPkcs1V15Sha384,
                S::RsassaPkcs1V15Sha512,
                S::RsassaPssSha256,
                S::RsassaPssSha384,
                S::RsassaPssSha512,
            ],
            KeySpec::EccNistP256 | KeySpec::EccSecgP256k1 => &[S::EcdsaSha256],
            KeySpec::EccNistP384 => &[S::EcdsaSha384],
            KeySpec::EccNistP521 => &[S::EcdsaSha512],
            KeySpec::EccNistEdwards25519 => &[S::Ed25519Sha512, S::Ed25519PhSha512],
            KeySpec::Sm2 => &[S::Sm2Dsa],
            KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[S::MlDsaShake256],
            _ => &[],
        }
    }

    /// What a GENERATE_VERIFY_MAC key of this spec makes codes with.
    pub fn mac_algorithms(self) -> &'static [MacAlgorithm] {
        match self {
            KeySpec::Hmac224 => &[MacAlgorithm::HmacSha224],
            KeySpec::Hmac256 => &[MacAlgorithm::HmacSha256],
            KeySpec::Hmac384 => &[MacAlgorithm::HmacSha384],
            KeySpec::Hmac512 => &[MacAlgorithm::HmacSha512],
            _ => &[],
        }
    }

    /// What a KEY_AGREEMENT key of this spec derives with.
    pub fn key_agreement_algorithms(self) -> &'static [KeyAgreementAlgorithm] {
        if self.usages().contains(&KeyUsage::KeyAgreement) { KeyAgreementAlgorithm::ALL } else { &[] }
    }

    /// What an ENCAPSULATE_DECAPSULATE key of this spec encapsulates with.
    pub fn encapsulation_algorithms(self) -> &'static [EncapsulationAlgorithm] {
        if self.usages().contains(&KeyUsage::EncapsulateDecapsulate) { EncapsulationAlgorithm::ALL } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every spec has an algorithm for each of its usages, and no algorithm without the usage.
    #[test]
    fn usages_and_algorithms_agree() {
        for spec in KeySpec::ALL {
            let has = |usage| spec.usages().contains(&usage);
            assert_eq!(has(KeyUsage::EncryptDecrypt), !spec.encryption_algorithms().is_empty(), "{spec}");
            assert_eq!(has(KeyUsage::SignVerify), !spec.signing_algorithms().is_empty(), "{spec}");
            assert_eq!(has(KeyUsage::GenerateVerifyMac), !spec.mac_algorithms().is_empty(), "{spec}");
            assert_eq!(has(KeyUsage::KeyAgreement), !spec.key_agreement_algorithms().is_empty(), "{spec}");
            assert_eq!(has(KeyUsage::EncapsulateDecapsulate), !spec.encapsulation_algorithms().is_empty(), "{spec}");
            assert_eq!(KeySpec::named(spec.as_str()), Some(*spec));
        }
    }
}
