//! Model files as named on the command line: one file, an index with its shards, or a folder of components.
//!
//! Weights are read here and nowhere else in the commands about models; what leaves are identifiers and sketches.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use hashpact_hashing::models::parts::{self, Component};
use hashpact_hashing::models::registry::Registry;
use hashpact_hashing::models::{self, Model, Weights};
use indicatif::ProgressBar;

use crate::cli::output::Output;
use crate::cli::progress;

/// A model, or a component of one, with the files that it consists of.
#[derive(Debug)]
pub(super) struct Named {
    /// As shown: the path, and for a component of a folder its place in it.
    pub(super) name: String,
    /// Each file with its name.
    pub(super) files: Vec<(String, Model)>,
    /// The weights of all files together, or why they could not be read.
    pub(super) weights: Option<Result<Weights, String>>,
}

/// Reads what `path` names. An error is of the path as a whole.
pub(super) fn read(path: &Path, output: Output) -> Result<Vec<Named>, String> {
    named(path)?.into_iter().map(|(name, files)| read_files(name, &files, output)).collect()
}

/// The models that `path` names, each with the files that it consists of.
fn named(path: &Path) -> Result<Vec<(String, Vec<PathBuf>)>, String> {
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_dir() {
        return Ok(vec![(shown(path), files_of(path)?)]);
    }
    let components = parts::components(&listed(path)?);
    if components.is_empty() {
        return Err("the folder holds no model file".to_owned());
    }
    let place = |component: Component| {
        let place = path.join(&component.folder).join(&component.name);
        Ok((shown(&place), files_of(&place)?))
    };
    components.into_iter().map(place).collect()
}

/// The shards of an index, or the file itself.
pub(super) fn files_of(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !parts::is_index(&name) {
        return Ok(vec![path.to_owned()]);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(shards(path)?.iter().map(|shard| folder.join(shard)).collect())
}

/// The files of a folder and of the folders in it, relative to it.
fn listed(root: &Path) -> Result<Vec<String>, String> {
    let walk = walkdir::WalkDir::new(root).follow_links(true).max_depth(2).sort_by_file_name();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.file_type().is_file()
            && let Ok(inner) = entry.path().strip_prefix(root)
        {
            let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
            found.push(parts.join("/"));
        }
    }
    Ok(found)
}

fn shards(index: &Path) -> Result<Vec<String>, String> {
    let size_bytes = fs::metadata(index).map_err(|error| error.to_string())?.len();
    if size_bytes > parts::INDEX_MAX_BYTES {
        return Err(format!("an index of {size_bytes} bytes; at most {} are read", parts::INDEX_MAX_BYTES));
    }
    let text = fs::read_to_string(index).map_err(|error| error.to_string())?;
    parts::shards(&text).map_err(|error| error.to_string())
}

/// A bar over the bytes of all files.
fn bar(paths: &[PathBuf], output: Output) -> Result<ProgressBar, String> {
    let size = |path: &PathBuf| {
        let metadata = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok::<u64, String>(metadata.len())
    };
    let total = paths.iter().map(size).sum::<Result<u64, _>>()?;
    Ok(progress::bar(output, "reading", Some(total), progress::Unit::Bytes))
}

fn read_files(name: String, paths: &[PathBuf], output: Output) -> Result<Named, String> {
    let bar = bar(paths, output)?;
    let named = read_with(name, paths, &bar);
    bar.finish_and_clear();
    named
}

/// Reads the files of one model; the bar advances by what is read.
pub(super) fn read_with(name: String, paths: &[PathBuf], bar: &ProgressBar) -> Result<Named, String> {
    let mut files = Vec::new();
    for path in paths {
        let shown = path.to_string_lossy().into_owned();
        let model = read_file(path, bar);
        // Of several files the error names the one.
        let named = |error| if paths.len() > 1 { format!("{shown}: {error}") } else { error };
        files.push((shown.clone(), model.map_err(named)?));
    }
    let mut weights: Option<Result<Weights, String>> = None;
    for (file, model) in &mut files {
        let part = model.weights.take();
        weights = match (weights, part) {
            (None, Some(part)) => Some(part.map_err(|error| error.to_string())),
            (Some(Ok(mut whole)), Some(Ok(part))) => {
                whole.merge(part);
                Some(Ok(whole))
            }
            (Some(Ok(_)), Some(Err(error))) => Some(Err(format!("{file}: {error}"))),
            (whole, _) => whole,
        };
    }
    Ok(Named { name, files, weights })
}

fn read_file(path: &Path, bar: &ProgressBar) -> Result<Model, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    models::read(&mut file, |bytes| bar.inc(bytes)).map_err(|error| error.to_string())
}

/// A registry of the bases that the user names. Only their sketches are read.
pub(super) fn registry(bases: &[PathBuf], output: Output) -> anyhow::Result<Registry> {
    let mut registry = Registry::default();
    for path in bases {
        let refused = |reason: String| anyhow::anyhow!("cannot use {} as a base: {reason}", path.display());
        for (_, files) in named(path).map_err(refused)? {
            let bar = bar(&files, output).map_err(refused)?;
            let mut whole = Weights::default();
            for file in &files {
                let mut file = File::open(file).map_err(|error| refused(error.to_string()))?;
                let read = models::read_sketches(&mut file, |bytes| bar.inc(bytes));
                match read.map_err(|error| refused(error.to_string()))? {
                    Some(Ok(weights)) => whole.merge(weights),
                    Some(Err(error)) => return Err(refused(error.to_string())),
                    None => return Err(refused("its tensors cannot be read".to_owned())),
                }
            }
            bar.finish_and_clear();
            registry.add(&whole);
        }
    }
    Ok(registry)
}
