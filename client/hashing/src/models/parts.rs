//! Models of several files: shards that an index names, and folders of diffusers with one component in each.
//!
//! This crate opens no file; what is here decides which files belong together, from an index's text and from the
//! paths of a folder. Each file is then read alone, and the weights of a group are merged.

use std::collections::BTreeSet;

use super::layout::{self, LayoutError};
use crate::json::Json;

/// The longest index that is read.
pub const INDEX_MAX_BYTES: u64 = 64 << 20;
/// The most files that an index may name.
pub const SHARDS_MAX: usize = 4096;
/// Ends of names of indexes.
const INDEX_ENDINGS: [&str; 2] = [".safetensors.index.json", ".bin.index.json"];
/// Ends of names of model files.
const MODEL_ENDINGS: [&str; 8] = [".safetensors", ".sft", ".gguf", ".ckpt", ".pt", ".pth", ".bin", ".onnx"];

/// Whether a file of this name is an index of shards.
#[must_use]
pub fn is_index(name: &str) -> bool {
    INDEX_ENDINGS.iter().any(|end| name.ends_with(end))
}

/// Whether a file of this name may be a model.
#[must_use]
pub fn is_model(name: &str) -> bool {
    MODEL_ENDINGS.iter().any(|end| name.to_ascii_lowercase().ends_with(end))
}

/// The files that an index names, in the order of their names. Each is a plain name: an index cannot lead out of its
/// folder.
///
/// # Errors
/// The text is no index, names too many tensors or files, or a file that is no plain name.
pub fn shards(index: &str) -> Result<Vec<String>, LayoutError> {
    let mut files = BTreeSet::new();
    let (mut json, mut tensors) = (Json::new(index, 0), 0);
    json.object(|json, key| {
        if key != "weight_map" {
            return json.skip().map_err(LayoutError::from);
        }
        json.object(|json, tensor| {
            tensors += 1;
            layout::check_bounds(tensors, &tensor, 0)?;
            let file = json.string()?;
            let is_plain =
                !file.is_empty() && !file.starts_with('.') && !file.contains(['/', '\\', ':', '\0']);
            if !is_plain {
                let what = "the index names a file that is not beside it";
                return Err(LayoutError::Field { tensor: layout::shown(&tensor), what });
            }
            if !files.contains(&*file) {
                if files.len() == SHARDS_MAX {
                    let (found, max) = (SHARDS_MAX as u64 + 1, SHARDS_MAX as u64);
                    return Err(LayoutError::TooLarge { what: "files of the index", found, max });
                }
                files.insert(file.into_owned());
            }
            Ok(())
        })
    })?;
    json.end()?;
    if files.is_empty() {
        return Err(LayoutError::Malformed { format: "index", what: "it names no file" });
    }
    Ok(files.into_iter().collect())
}

/// Files of one model, or of one component of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Component {
    /// The folder, relative to the model's; empty for the model's own.
    pub folder: String,
    /// The file that is the model, or the index that names its files.
    pub name: String,
}

/// The components of a folder with files of these paths, which are relative to it and written with `/`. In each
/// folder an index stands for the shards that it names; every other model file is a component of its own. Only the
/// folder itself and those directly in it are looked at.
#[must_use]
pub fn components(paths: &[String]) -> Vec<Component> {
    let mut found = Vec::new();
    let split = |path: &str| -> (String, String) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        (folder.to_owned(), name.to_owned())
    };
    let places: BTreeSet<(String, String)> =
        paths.iter().map(|path| split(path)).filter(|(folder, _)| !folder.contains('/')).collect();
    let indexed: BTreeSet<(&str, String)> = places
        .iter()
        .filter(|(_, name)| is_index(name))
        .map(|(folder, name)| (folder.as_str(), stem_of_shards(name)))
        .collect();
    for (folder, name) in &places {
        let has_index = |stem: &str| indexed.contains(&(folder.as_str(), stem.to_owned()));
        if is_index(name) || (is_model(name) && !is_shard(name, has_index)) {
            found.push(Component { folder: folder.clone(), name: name.clone() });
        }
    }
    found
}

/// `model.safetensors.index.json` is the index of `model-00001-of-00002.safetensors`: what both begin with.
fn stem_of_shards(index: &str) -> String {
    index.split('.').next().unwrap_or_default().to_owned()
}

/// Whether a name is that of a shard whose index is known.
fn is_shard(name: &str, is_indexed: impl Fn(&str) -> bool) -> bool {
    let Some((before, of)) = name.split_once("-of-") else { return false };
    let Some((stem, number)) = before.rsplit_once('-') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    digits(number) && of.split('.').next().is_some_and(digits) && is_indexed(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_its_shards_once_each() {
        let index = r#"{"metadata":{"total_size":[1,{"x":2}]},"weight_map":{"b":"m-2.safetensors","a":"m-1.safetensors","c":"m-1.safetensors"}}"#;
        assert_eq!(shards(index).unwrap(), ["m-1.safetensors", "m-2.safetensors"]);
    }

    #[test]
    fn an_index_cannot_lead_out_of_its_folder() {
        for file in ["../x", "a/b", "..", "C:x", "a\\\\b", "", ".hidden", "x\\u0000"] {
            let error = shards(&format!(r#"{{"weight_map":{{"t":"{file}"}}}}"#)).unwrap_err();
            assert!(error.to_string().contains("not beside it"), "{file}: {error}");
        }
        assert!(shards("{}").unwrap_err().to_string().contains("names no file"));
        assert!(shards(r#"{"weight_map":[]}"#).unwrap_err().to_string().contains("expected an object"));
        let many: Vec<String> = (0..=SHARDS_MAX).map(|n| format!("\"{n}\":\"f{n}\"")).collect();
        let error = shards(&format!("{{\"weight_map\":{{{}}}}}", many.join(","))).unwrap_err();
        assert!(error.to_string().contains("at most 4096"), "{error}");
    }

    #[test]
    fn components_of_a_folder() {
        let paths = [
            "model_index.json",
            "unet/config.json",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model-00002-of-00002.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
            "vae/other-00001-of-00002.safetensors",
            "a/b/deep.safetensors",
            "whole.ckpt",
        ];
        let found = components(&paths.map(str::to_owned));
        let shown: Vec<String> = found.iter().map(|part| format!("{}|{}", part.folder, part.name)).collect();
        assert_eq!(
            shown,
            [
                "|whole.ckpt",
                "unet|diffusion_pytorch_model.safetensors.index.json",
                "vae|diffusion_pytorch_model.safetensors",
                "vae|other-00001-of-00002.safetensors",
            ]
        );
    }
}
