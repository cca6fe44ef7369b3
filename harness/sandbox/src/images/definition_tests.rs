//! Definitions: what is read, and every way one can be wrong, with the place the error names.

use super::super::source::SourceKind;
use super::*;

const GOOD: &str = r#"id = "x-1"
architecture = "amd64"
source_date = "2024-04-25"
eol = "2029-05-31"
family = "debian"
package_manager = "apt"
libc = "glibc"
mirror_variable = "ASSAY_X_MIRROR"
user = "dev"
absent = ["sudo", "curl"]
trust_store = "/etc/ssl/certs/ca-certificates.crt"
plain_http = true
os_release = '''
ID=x
VERSION_ID=1
'''

[[source]]
kind = "registry"
reference = "x:1@sha256:786a8b558f7be160c6c8c4a54f9a57274f3b4fb1491cf65146521ae77ff1dc54"

[[source]]
kind = "bootstrap"
tool = "mmdebstrap"
suite = "noble"
variant = "minbase"
include = ["apt"]
components = ["main", "universe"]
keyring = { file = "/usr/share/keyrings/x.gpg", package = "x-keyring", suite = "trixie" }

[[source]]
kind = "lab"
file = "x-1"

[[source]]
kind = "tarball"
file = "x.tar"
sha256 = "4e401d95de7083948053197a9c3913343cd06b706bf15eb6a0c3ccd26f436a0e"
"#;

fn parse(text: &str) -> Result<Definition, DefinitionError> {
    Definition::parse("base-images/x-1.toml", text.as_bytes())
}

/// The error of the good definition with one text replaced.
fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    parse(&GOOD.replacen(from, to, 1))
        .expect_err(to)
        .to_string()
}

#[test]
fn a_whole_definition_is_read() {
    let definition = parse(GOOD).expect("a definition");
    assert_eq!(definition.id.as_str(), "x-1");
    let os_release = definition.os_release.as_ref().expect("an os-release");
    assert_eq!(os_release.get("VERSION_ID"), Some("1"));
    assert_eq!(
        definition
            .absent
            .iter()
            .map(Word::as_str)
            .collect::<Vec<_>>(),
        ["curl", "sudo"]
    );
    assert_eq!(
        definition
            .sources
            .iter()
            .map(Source::kind)
            .collect::<Vec<_>>(),
        [
            SourceKind::Registry,
            SourceKind::Bootstrap,
            SourceKind::Lab,
            SourceKind::Tarball
        ]
    );
    assert!(definition.is_past_eol("2029-06-01".parse().expect("a day")));
    assert!(!definition.is_past_eol("2029-05-31".parse().expect("a day")));
}

#[test]
fn every_fault_names_file_line_and_key() {
    for (from, to, expected) in [
        (
            "libc =",
            "libcc =",
            "line 7, key `libcc`: unknown field `libcc`",
        ),
        (
            "libc = \"glibc\"\n",
            "",
            "key `libc`: a Linux target needs it",
        ),
        (
            "user = \"dev\"\n",
            "",
            "key `user`: a target with images needs it",
        ),
        (
            "architecture =",
            "plan_only = true\narchitecture =",
            "line 4, key `source_date`: a target that is only planned for has none",
        ),
        (
            "architecture =",
            "plan_only = \"yes\"\narchitecture =",
            "line 2, key `plan_only`: invalid type",
        ),
        (
            "architecture =",
            "os = \"darwin\"\narchitecture =",
            "key `plan_only`: a target of this system is only planned for and needs it",
        ),
        (
            "architecture =",
            "os = \"darwin\"\nplan_only = true\narchitecture =",
            "key `os_release`: only a Linux target has it",
        ),
        (
            "architecture =",
            "os = \"windows\"\narchitecture =",
            "line 2, key `os`: `windows` is unknown; known are `linux`, `darwin`",
        ),
        (
            "family = \"debian\"",
            "family = 3",
            "line 5, key `family`: invalid type: integer `3`",
        ),
        (
            "family = \"debian\"",
            "family = \"nix\"",
            "line 5, key `family`: `nix` is unknown; known are `debian`, `fedora`, `arch`",
        ),
        (
            "family = \"debian\"",
            "family = \"debian",
            "line 5, key `family`: ",
        ),
        (
            "\"2029-05-31\"",
            "\"2029-02-29\"",
            "line 4, key `eol`: it is no day",
        ),
        (
            "id = \"x-1\"",
            "id = \"x-2\"",
            "line 1, key `id`: `x-2` is not the file's name",
        ),
        (
            "id = \"x-1\"",
            "id = \"X\"",
            "line 1, key `id`: `X` is not a target",
        ),
        (
            "\"ASSAY_X_MIRROR\"",
            "\"a=b\"",
            "line 8, key `mirror_variable`: it is no name",
        ),
        (
            "\"sudo\"",
            "\"--sudo\"",
            "line 10, key `absent`: `--sudo` is not made of",
        ),
        (
            "\"/etc/ssl/certs/ca-certificates.crt\"",
            "\"../x\"",
            "line 11, key `trust_store`: `../x` is not a path",
        ),
        (
            "plain_http = true",
            "plain_http = \"yes\"",
            "line 12, key `plain_http`: invalid type",
        ),
        (
            "VERSION_ID=1",
            "nonsense",
            "line 13, key `os_release`: line 2 is not `NAME=value`",
        ),
        (
            "kind = \"lab\"",
            "kind = \"iso\"",
            "line 32, key `kind`: `iso` is no kind of source; known are `registry`",
        ),
        (
            "kind = \"lab\"\nfile = \"x-1\"",
            "kind = \"lab\"\nfile = \"../x\"",
            "line 33, key `file`: `../x` is not made of",
        ),
        (
            "kind = \"lab\"\nfile",
            "kind = \"lab\"\nsuite = \"a\"\nfile",
            "line 33, key `suite`: a source of kind `lab` has no such key",
        ),
        (
            "kind = \"lab\"\nfile = \"x-1\"",
            "kind = \"lab\"",
            "key `file`: a source of kind `lab` needs it",
        ),
        (
            "kind = \"lab\"\nfile",
            "kind = \"lab\"\nurl",
            "line 33, key `url`: unknown field `url`",
        ),
        ("1dc54\"", "1dc5\"", "line 20, key `reference`: `786a8b55"),
        (
            "@sha256:786a8b558f7be160c6c8c4a54f9a57274f3b4fb1491cf65146521ae77ff1dc54",
            "",
            "line 20, key `reference`: it has no digest",
        ),
        (
            "sha256 = \"4e40",
            "sha256 = \"zz40",
            "line 38, key `sha256`: `zz40",
        ),
        (
            "tool = \"mmdebstrap\"",
            "tool = \"sh\"",
            "line 24, key `tool`: `sh` is unknown",
        ),
        (
            "suite = \"noble\"",
            "suite = \"-o\"",
            "line 25, key `suite`: `-o` is not made of",
        ),
        (
            "include = [\"apt\"]",
            "include = [\"apt\", \"a b\"]",
            "line 27, key `include`: `a b` is not made of",
        ),
        (
            "components = [\"main\", \"universe\"]",
            "components = []",
            "key `components`: a bootstrap needs at least one",
        ),
        (
            ", suite = \"trixie\"",
            "",
            "line 29, key `suite`: a keyring's `package` needs",
        ),
        (
            ", package = \"x-keyring\"",
            "",
            "line 29, key `package`: a keyring's `suite` needs",
        ),
        (
            "kind = \"lab\"\nfile",
            "kind = \"lab\"\nmerged_usr = true\nfile",
            "line 33, key `merged_usr`: a source of kind `lab` has no such key",
        ),
        (
            "keyring = {",
            "# {",
            "key `keyring`: a bootstrap verifies signatures",
        ),
    ] {
        let shown = error(from, to);
        assert!(shown.starts_with("`base-images/x-1.toml`"), "{to}: {shown}");
        assert!(shown.contains(expected), "{to}: {shown}");
    }
}

#[test]
fn a_definition_without_sources_is_refused() {
    let head = GOOD
        .split("[[source]]")
        .next()
        .expect("the part before the sources");
    assert!(
        parse(head)
            .expect_err("no source")
            .to_string()
            .contains("no `[[source]]`")
    );
}

#[test]
fn a_target_that_is_only_planned_for_has_no_keys_of_an_image() {
    let alpine = "id = \"x-1\"\narchitecture = \"amd64\"\nplan_only = true\nfamily = \"alpine\"\npackage_manager = \"apk\"\nlibc = \"musl\"\nos_release = \"ID=x\"\n";
    let darwin = "id = \"x-1\"\nos = \"darwin\"\narchitecture = \"amd64\"\nplan_only = true\npackage_manager = \"brew\"\n";
    for (text, os) in [(alpine, Os::Linux), (darwin, Os::Darwin)] {
        let definition = parse(text).expect("a definition");
        assert_eq!((definition.os, definition.is_plan_only()), (os, true));
        assert_eq!(definition.os_release.is_some(), os == Os::Linux);
        for key in [
            "user = \"dev\"",
            "plain_http = false",
            "source_date = \"2024-04-25\"",
            "trust_store = \"/x\"",
            "absent = [\"sudo\"]",
            "mirror_variable = \"X\"",
            "[[source]]\nkind = \"lab\"\nfile = \"x\"",
        ] {
            let error = parse(&format!("{text}{key}\n")).expect_err(key).to_string();
            assert!(
                error.contains("only planned for has none"),
                "{key}: {error}"
            );
        }
        let not = parse(&text.replace("plan_only = true\n", "")).expect_err("no images either");
        assert!(not.to_string().contains("key `"), "{not}");
    }
}

#[test]
fn a_file_that_is_no_text_or_too_long_is_refused() {
    let binary = Definition::parse("x-1.toml", b"\xff\xfe").expect_err("binary");
    assert_eq!(binary.to_string(), "`x-1.toml`: it is not UTF-8");
    let long = Definition::parse("x-1.toml", &vec![b' '; LIMIT + 1]).expect_err("long");
    assert!(long.to_string().contains("more than"));
    let deep = format!("id = {}1{}", "[".repeat(50_000), "]".repeat(50_000));
    assert!(Definition::parse("x-1.toml", deep.as_bytes()).is_err());
}

#[test]
fn only_what_can_change_an_image_changes_the_digest() {
    let digest = |text: &str| parse(text).expect("a definition").digest;
    let good = digest(GOOD);
    assert_eq!(good, digest(&format!("# a comment\n{GOOD}")));
    assert_eq!(good, digest(&GOOD.replace("2029-05-31", "2029-06-30")));
    assert_ne!(good, digest(&GOOD.replace("2024-04-25", "2024-04-26")));
    assert_ne!(good, digest(&GOOD.replace("noble", "jammy")));
    assert_ne!(good, digest(&GOOD.replace("1dc54", "1dc55")));
}

proptest::proptest! {
    #[test]
    fn any_change_of_one_byte_is_read_or_refused(at in 0..GOOD.len(), byte: u8) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(error) = Definition::parse("x-1.toml", &bytes) {
            proptest::prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }
}
