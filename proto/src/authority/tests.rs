//! What an authority signs, and how one follows the other.

use rcgen::{CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};

use super::rotation::Authorities;
use super::*;
use crate::clock::Clock;
use crate::credentials::Leaf;
use crate::tls::Trust;
use crate::tls::verify::{Purpose, verify};

const NOW_MS: TimeMs = 1_800_000_000_000;

fn cluster() -> Name {
    "c1".parse().expect("a name")
}

fn agent() -> Identity {
    "firn://c1/agent/n1".parse().expect("an identity")
}

fn authority() -> Authority {
    Authority::create(&cluster(), NOW_MS).expect("an authority")
}

fn leaf(pem: &str) -> Leaf {
    Leaf::read(&certificates(pem).expect("PEM")[0]).expect("a leaf")
}

fn verified(pem: &str, trust: &Trust, now_ms: TimeMs) -> Result<Leaf, ProtoError> {
    let clock = Clock::new(move || now_ms);
    verify(&certificates(pem).expect("PEM")[0], &[], trust, Purpose::Client, &clock)
}

#[test]
fn a_certificate_says_what_the_caller_said() {
    let applicant = Applicant::new().expect("a key");
    let pem = authority().issue(applicant.request_der(), &agent(), NOW_MS, LEAF_LIFETIME_MS).expect("issued");
    let leaf = leaf(&pem);
    assert_eq!(leaf.identity, agent());
    assert_eq!((leaf.from_ms, leaf.to_ms), (NOW_MS - BACKDATED_MS, NOW_MS + DAY_MS));
    assert!(leaf.renew_at_ms() > NOW_MS + 15 * HOUR_MS && leaf.renew_at_ms() < NOW_MS + 17 * HOUR_MS);
    assert_eq!(applicant.credentials(&pem).expect("credentials").leaf(), &leaf);
    let other = Applicant::new().expect("a key").credentials(&pem);
    assert!(matches!(other, Err(ProtoError::Unusable { .. })), "{other:?}");
}

#[test]
fn wishes_in_a_request_count_for_nothing() {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let mut wish = CertificateParams::default();
    wish.subject_alt_names = vec![
        SanType::URI("firn://c1/coordinator".try_into().expect("ASCII")),
        SanType::DnsName("api.example.org".try_into().expect("ASCII")),
    ];
    wish.is_ca = IsCa::ExplicitNoCa;
    wish.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    wish.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let request = wish.serialize_request(&pair).expect("a request");
    let pem = authority().issue(request.der(), &agent(), NOW_MS, LEAF_LIFETIME_MS).expect("issued");
    assert_eq!(leaf(&pem).identity, agent());
    let der = &certificates(&pem).expect("PEM")[0];
    let (_, parsed) = X509Certificate::from_der(der).expect("X.509");
    assert!(!parsed.is_ca());
    assert!(!parsed.key_usage().expect("usage").expect("usage").value.key_cert_sign());
    let extended = parsed.extended_key_usage().expect("usage").expect("usage").value;
    assert!(extended.client_auth && !extended.server_auth);
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let authority = authority();
    let good = Applicant::new().expect("a key").request_der().to_vec();
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    for request in [&forged[..], &good[..good.len() / 2], &[], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0; 8192]] {
        let refused = authority.issue(request, &agent(), NOW_MS, LEAF_LIFETIME_MS);
        assert!(matches!(refused, Err(ProtoError::Unusable { .. })), "{refused:?}");
    }
}

#[test]
fn no_certificate_outlives_its_authority() {
    let authority = authority();
    let applicant = Applicant::new().expect("a key");
    let late = NOW_MS + AUTHORITY_LIFETIME_MS - HOUR_MS;
    let pem = authority.issue(applicant.request_der(), &agent(), late, LEAF_LIFETIME_MS).expect("issued");
    assert_eq!(leaf(&pem).to_ms, NOW_MS + AUTHORITY_LIFETIME_MS);
    let refused = authority.issue(applicant.request_der(), &agent(), late + HOUR_MS, LEAF_LIFETIME_MS);
    assert!(matches!(refused, Err(ProtoError::Expired { .. })), "{refused:?}");
}

#[test]
fn it_is_loaded_only_whole() {
    let (a, b) = (authority(), authority());
    let loaded = Authority::load(a.certificate_pem(), a.key_pem()).expect("loads");
    let pem = loaded.credentials(&agent(), NOW_MS, LEAF_LIFETIME_MS).expect("credentials");
    assert_eq!(pem.leaf().identity, agent());
    let applicant = Applicant::new().expect("a key");
    let leaf_pem = a.issue(applicant.request_der(), &agent(), NOW_MS, LEAF_LIFETIME_MS).expect("issued");
    let two = format!("{}{}", a.certificate_pem(), b.certificate_pem());
    for (certificate, key) in [
        (a.certificate_pem(), b.key_pem().as_str()),
        (leaf_pem.as_str(), a.key_pem().as_str()),
        (two.as_str(), a.key_pem().as_str()),
        ("", a.key_pem().as_str()),
        (a.certificate_pem(), ""),
        (a.certificate_pem(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ] {
        let refused = Authority::load(certificate, key).expect_err("refused");
        assert!(matches!(refused, ProtoError::Unusable { .. }), "{refused:?}");
        assert!(!format!("{refused:?}").contains("AAAA"));
    }
}

#[test]
fn keys_are_not_printed() {
    let authorities = Authorities::create(&cluster(), NOW_MS).expect("authorities");
    let kept = authorities.kept();
    let key = kept[0].key_pem.lines().nth(1).expect("a line").to_owned();
    let applicant = Applicant::new().expect("a key");
    let signing = authorities.signing(NOW_MS).expect("one");
    let credentials = signing.credentials(&agent(), NOW_MS, LEAF_LIFETIME_MS).expect("credentials");
    for text in [
        format!("{authorities:?}"),
        format!("{signing:?}"),
        format!("{:?}", kept[0]),
        format!("{applicant:?}"),
        format!("{credentials:?}"),
    ] {
        assert!(!text.contains(&key) && text.len() < 500, "{text}");
    }
}

/// Three years, looked at every eight hours wherever something happens: whoever renews in time is never shut out, by an old trust or a new one.
#[test]
fn rotation_shuts_nobody_out() {
    let mut authorities = Authorities::create(&cluster(), NOW_MS).expect("authorities");
    // What somebody has who came by in the last day: a certificate, and whom he was told to trust.
    let mut remembered: Vec<(TimeMs, String, Trust)> = Vec::new();
    let (mut now_ms, mut changes, mut most) = (NOW_MS, 0, 0);
    while now_ms < NOW_MS + 3 * 365 * DAY_MS {
        if authorities.rotate(now_ms).expect("rotates") {
            changes += 1;
            authorities = Authorities::load(&cluster(), &authorities.kept()).expect("kept");
        }
        most = most.max(authorities.kept().len());
        let trust = authorities.trust().expect("trust");
        let applicant = Applicant::new().expect("a key");
        let pem = authorities.issue(applicant.request_der(), &agent(), now_ms).expect("issued");
        remembered.retain(|(then, _, _)| now_ms - then < LEAF_LIFETIME_MS);
        for (_, old_pem, old_trust) in &remembered {
            verified(old_pem, &trust, now_ms).expect("an old certificate is still good");
            verified(&pem, old_trust, now_ms).expect("a new certificate is good for who has not heard yet");
        }
        remembered.push((now_ms, pem, trust));
        now_ms += 8 * HOUR_MS;
        if (now_ms - NOW_MS) % (365 * DAY_MS) == 12 * DAY_MS {
            now_ms += 348 * DAY_MS;
        }
    }
    assert_eq!((changes, most), (4, 2), "two successors, two farewells, never more than two at once");
}

#[test]
fn a_second_successor_waits_for_the_first() {
    let mut authorities = Authorities::create(&cluster(), NOW_MS).expect("authorities");
    let first = authorities.signing(NOW_MS).expect("one").certificate_pem().to_owned();
    authorities.succeed(NOW_MS).expect("a successor");
    authorities.succeed(NOW_MS + HOUR_MS).expect("none");
    assert_eq!(authorities.kept().len(), 2);
    assert_eq!(authorities.signing(NOW_MS + DAY_MS).expect("one").certificate_pem(), first);
    assert_ne!(authorities.signing(NOW_MS + 2 * DAY_MS).expect("one").certificate_pem(), first);
    assert!(authorities.rotate(NOW_MS + 4 * DAY_MS).expect("rotates"));
    assert_eq!(authorities.kept().len(), 1);
    assert!(!authorities.trusted_pem().contains(&first));
}

#[test]
fn an_authority_of_somebody_else_is_not_trusted() {
    let (ours, theirs) = (authority(), authority());
    let applicant = Applicant::new().expect("a key");
    let pem = theirs.issue(applicant.request_der(), &agent(), NOW_MS, LEAF_LIFETIME_MS).expect("issued");
    let trust = Trust::from_pem(ours.certificate_pem()).expect("trust");
    let refused = verified(&pem, &trust, NOW_MS).expect_err("refused");
    assert!(refused.to_string().contains("none of the trusted authorities signed it"), "{refused}");
    assert!(Trust::from_pem("").is_err());
    assert!(Trust::from_pem(&ours.certificate_pem().repeat(5)).is_err());
}
