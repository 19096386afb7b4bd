//! Every value of the configuration that can be wrong, and the documented sample.

use super::*;

fn check(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("base")).map_err(|error| error.to_string())
}

#[test]
fn the_documented_sample_is_valid_and_states_the_defaults() {
    let sample =
        Config::parse(include_str!("../../config.sample.toml"), Path::new(".")).expect("sample parses");
    let bare = check("member = \"acme\"\ndata_dir = \"data\"").expect("defaults parse");
    assert_eq!((sample.role, sample.replicas), (bare.role, bare.replicas));
    assert_eq!(format!("{:?}", sample.network), format!("{:?}", bare.network));
    assert_eq!(format!("{:?}", sample.http), format!("{:?}", bare.http));
    assert_eq!(format!("{:?}", sample.index), format!("{:?}", bare.index));
    assert_eq!(format!("{:?}", sample.scrub), format!("{:?}", bare.scrub));
    assert_eq!(sample.models, bare.models);
    assert_eq!(format!("{:?}", sample.receipts), format!("{:?}", bare.receipts));
    assert_eq!(format!("{:?}", sample.keys), format!("{:?}", bare.keys).replace("base/", "./"));
    assert_eq!(sample.quarantine, bare.quarantine);
    assert_eq!(format!("{:?}", sample.log), format!("{:?}", bare.log));
}

#[test]
fn each_bad_value_is_named() {
    let cases = [
        ("member = \"acme\"\ndata_dir = \"d\"\nsecret = 1", "unknown field `secret`"),
        ("member = \"Acme\"\ndata_dir = \"d\"", "member = \"Acme\""),
        ("data_dir = \"d\"", "missing field `member`"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http]\nlisten = \"0.0.0.0:1\"", "allow_remote"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[keys.signer]\ncommand = [\"x\"]", "missing field `roles`"),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[keys.signer]\ncommand = []\nroles = [\"log\"]",
            "keys.signer.command = \"[]\": must name a program",
        ),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[keys.signer]\ncommand = [\"x\"]\nroles = [\"peer\"]",
            "keys.signer.roles = \"peer\": must be log, card or cosigner",
        ),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[keys.signer]\ncommand = [\"x\"]\nroles = []",
            "must name at least one",
        ),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[keys.signer]\ncommand = [\"x\"]\nroles = [\"log\"]\ntimeout_ms = 9",
            "keys.signer.timeout_ms = \"9\": must be 10 to 60000",
        ),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http.tls]\ncertificate = \"c\"", "missing field `key`"),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[http.tls]\ncertificate = \"c\"\nkey = \"k\"\nclient_certificates = \"optional\"",
            "http.tls.client_certificates = \"optional\": needs http.tls.client_ca",
        ),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http]\nlisten = \"here\"", "http.listen = \"here\""),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http]\nrequests_max = 0", "http.requests_max"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http]\nbulk_max = 65", "must be 1 to 64"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[http]\nconnections_max = 0", "http.connections_max"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[network]\npeers = [\"example.org:1\"]", "network.peers"),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[index]\nsnapshot_interval_s = 604801",
            "index.snapshot_interval_s = \"604801\": must be 0 to 604800",
        ),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[receipts]\ninterval_s = 31622401",
            "receipts.interval_s = \"31622401\": must be 0 to 31622400",
        ),
        (
            "member = \"acme\"\ndata_dir = \"d\"\n[quarantine]\nwithdrawals_per_hour = 0",
            "quarantine.withdrawals_per_hour = \"0\": must be 1 to 1000000000",
        ),
        ("member = \"acme\"\ndata_dir = \"d\"\n[index]\nevery = 1", "unknown field `every`"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[models]\nsame_max_bits = 48", "must be 1 to 47"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[models]\nreview_max_bits = 30", "must be 31 to 96"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[models]\ntiles_min = 0", "models.tiles_min"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[scrub]\nrate_mb_s = 10001", "must be 0 to 10000"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[scrub]\ninterval_s = 99999999", "scrub.interval_s"),
        ("member = \"acme\"\ndata_dir = \"d\"\n[log]\nformat = \"xml\"", "xml"),
    ];
    for (text, expected) in cases {
        let error = check(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn remote_listening_is_a_decision() {
    let config =
        check("member = \"acme\"\ndata_dir = \"d\"\n[http]\nlisten = \"0.0.0.0:1\"\nallow_remote = true");
    assert!(config.is_ok());
    let config = check(
        "member = \"acme\"\ndata_dir = \"d\"\n[http]\nlisten = \"0.0.0.0:1\"\n[http.tls]\ncertificate = \"c\"\nkey = \"/k\"",
    );
    let tls = config.expect("what is encrypted may be reached").tls.expect("files");
    assert_eq!((tls.certificate, tls.key), (PathBuf::from("base/c"), PathBuf::from("/k")));
}
