//! Archives as engines write them, and with one thing wrong in each.

use super::*;

/// The ids of the images in the seeds.
const OLDER: &str = "sha256:829457d014dd62070549b68f6a9bf7df24153077f840dc222f60a8de6ddc1701";
const NEWER: &str = "sha256:f675788aa9a4f381048b5698cabd644a424cf1ede609e7d7023708e226613e6e";

/// An entry: its path, and its content or where it leads.
enum Part {
    File(String, Vec<u8>),
    Symlink(String, String),
}

fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Part {
    Part::File(path.into(), content.into())
}

fn tar_of(parts: &[Part]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for part in parts {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        match part {
            Part::File(path, content) => {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_slice())
            }
            Part::Symlink(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, path, target)
            }
        }
        .expect("an entry");
    }
    builder.into_inner().expect("a tar")
}

fn sum(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

fn prove(parts: &[Part], id: &str) -> Result<Proved, SavedError> {
    read_saved(tar_of(parts).as_slice())
        .expect("a tar")
        .prove(id, &[])
}

/// An archive of two layers in the older form, the second layer a link as engines write one that
/// an image has twice; and the image's id.
fn older() -> (Vec<Part>, String) {
    let layers: [&[u8]; 3] = [b"one", b"two", b"one"];
    let names: Vec<String> = layers
        .iter()
        .map(|layer| format!("sha256:{}", sum(layer)))
        .collect();
    let configuration = serde_json::json!({
        "architecture": "amd64", "rootfs": { "type": "layers", "diff_ids": names },
    })
    .to_string();
    let id = sum(configuration.as_bytes());
    let manifest = serde_json::json!([{
        "Config": format!("{id}.json"),
        "RepoTags": null,
        "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"],
    }]);
    let parts = vec![
        file(format!("{id}.json"), configuration),
        file("a/layer.tar", "one"),
        file("b/layer.tar", "two"),
        Part::Symlink("c/layer.tar".to_owned(), "../a/layer.tar".to_owned()),
        file("manifest.json", manifest.to_string()),
    ];
    (parts, format!("sha256:{id}"))
}

/// An archive in the form of OCI images whose id is its manifest's and whose layer is compressed.
fn newer() -> (Vec<Part>, String) {
    let configuration = serde_json::json!({
        "rootfs": { "diff_ids": [format!("sha256:{}", sum(b"uncompressed"))] },
    })
    .to_string();
    let layer = b"compressed".as_slice();
    let [config, blob] = [configuration.as_bytes(), layer].map(sum);
    let oci = serde_json::json!({
        "config": { "digest": format!("sha256:{config}") },
        "layers": [{ "digest": format!("sha256:{blob}") }],
    })
    .to_string();
    let id = sum(oci.as_bytes());
    let manifest = serde_json::json!([{
        "Config": format!("blobs/sha256/{config}"), "Layers": [format!("blobs/sha256/{blob}")],
    }]);
    let parts = vec![
        file(format!("blobs/sha256/{config}"), configuration),
        file(format!("blobs/sha256/{blob}"), layer),
        file(format!("blobs/sha256/{id}"), oci),
        file("manifest.json", manifest.to_string()),
        file("oci-layout", "{}"),
    ];
    (parts, format!("sha256:{id}"))
}

#[test]
fn whole_images_are_proved_in_either_form() {
    let (parts, id) = older();
    let proved = Proved {
        layers: 3,
        bytes: 9,
    };
    assert_eq!(prove(&parts, &id), Ok(proved));
    let (parts, id) = newer();
    let proved = Proved {
        layers: 1,
        bytes: 10,
    };
    assert_eq!(prove(&parts, &id), Ok(proved));
}

#[test]
fn every_flipped_byte_of_a_file_that_matters_is_found() {
    for (whole, id) in [older(), newer()] {
        for (index, part) in whole.iter().enumerate() {
            let Part::File(path, content) = part else {
                continue;
            };
            // What names the rest may be unreadable instead of different, and is never proved.
            let names = path.starts_with("manifest");
            if path == "oci-layout" {
                continue;
            }
            for at in 0..content.len() {
                let (mut parts, _) = if id == older().1 { older() } else { newer() };
                let mut flipped = content.clone();
                flipped[at] ^= 1;
                parts[index] = file(path.clone(), flipped);
                match prove(&parts, &id) {
                    Err(SavedError::Differs(_)) => {}
                    Err(SavedError::Unreadable(_)) if names => {}
                    // A word nothing reads, as that of `RepoTags`, may be another.
                    Ok(_) if names && !used(content, at) => {}
                    other => panic!("{path} at {at}: {other:?}"),
                }
            }
        }
    }
}

/// Whether this byte of a `manifest.json` belongs to what is read of it.
fn used(manifest: &[u8], at: usize) -> bool {
    let text = std::str::from_utf8(manifest).expect("text");
    let tags = text.find("\"RepoTags\"").map(|start| start..text.len());
    !tags.is_some_and(|tags| tags.contains(&at))
}

#[test]
fn another_image_other_layers_and_missing_ones_differ() {
    let (parts, id) = older();
    let other = format!("sha256:{}", sum(b"other"));
    let error = prove(&parts, &other).expect_err("another image");
    let instead = format!("the engine saved the image `{}` instead", &id[7..]);
    assert_eq!(error, SavedError::Differs(instead));

    let saved = read_saved(tar_of(&parts).as_slice()).expect("a tar");
    let error = saved.prove(&id, &[other]).expect_err("other layers");
    assert!(error.to_string().contains("lists other layers"), "{error}");

    let (mut parts, id) = older();
    let Some(Part::File(_, manifest)) = parts.pop() else {
        panic!("the manifest comes last")
    };
    let text = String::from_utf8(manifest).expect("text");
    parts.push(file("manifest.json", text.replace(",\"c/layer.tar\"", "")));
    let error = prove(&parts, &id).expect_err("a layer less");
    assert_eq!(error.to_string(), "the engine has 2 of its 3 layers");
}

#[test]
fn what_is_no_such_archive_proves_nothing_and_says_so() {
    let (mut looped, id) = older();
    looped[3] = Part::Symlink("c/layer.tar".to_owned(), "layer.tar".to_owned());
    let (mut outside, _) = older();
    outside[3] = Part::Symlink("c/layer.tar".to_owned(), "../../a/layer.tar".to_owned());
    let (mut two, _) = older();
    two[4] = file(
        "manifest.json",
        r#"[{"Config":"a","Layers":[]},{"Config":"b","Layers":[]}]"#,
    );
    let (mut long, _) = older();
    long[4] = file("manifest.json", vec![b' '; DOCUMENT_LIMIT as usize + 1]);
    for (parts, words) in [
        (Vec::new(), "no file `manifest.json`"),
        (looped, "no file `c/layer.tar`"),
        (outside, "no file `c/layer.tar`"),
        (two, "2 images instead of one"),
        (long, "holds 4194305 bytes"),
    ] {
        match prove(&parts, &id) {
            Err(SavedError::Unreadable(said)) => assert!(said.contains(words), "{said}"),
            other => panic!("{words}: {other:?}"),
        }
    }
    assert!(read_saved([7_u8; 1024].as_slice()).is_err(), "no tar");
    let whole = tar_of(&older().0);
    assert!(read_saved(&whole[..700]).is_err(), "it breaks off");
}

#[test]
fn entries_without_end_are_refused() {
    let parts: Vec<Part> = (0..=ENTRIES_LIMIT)
        .map(|number| file(number.to_string(), ""))
        .collect();
    let error = read_saved(tar_of(&parts).as_slice()).expect_err("too many");
    assert!(error.to_string().contains("10000 entries"), "{error}");
}

#[test]
fn the_seeds_of_its_fuzz_target_are_whole_images() {
    for (seed, id) in [
        (
            include_bytes!("../../../fuzz/seeds/saved/older.tar").as_slice(),
            OLDER,
        ),
        (include_bytes!("../../../fuzz/seeds/saved/newer.tar"), NEWER),
    ] {
        let saved = read_saved(seed).expect("a tar");
        let proved = saved.prove(id, &[]).expect("a whole image");
        assert!(proved.layers > 0 && proved.bytes > 0);
    }
}
