//! What one document says about another: sections of the specification, domain tags, dependencies.

use std::collections::BTreeSet;

use crate::{SourceFile, Violation};

/// Section numbers of a specification: headings such as `## 6 Leaves`, `### §4.2 Proofs`, `## 6. Leaves`.
pub fn sections(spec: &str) -> BTreeSet<String> {
    let headings = spec.lines().filter_map(|line| line.strip_prefix('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim_start().trim_start_matches('§'));
    titles.map(|title| number(title.trim_start())).filter(|number| !number.is_empty()).collect()
}

/// Checks that each section that a file cites as `SPEC §n` exists.
pub fn cited_sections(file: &SourceFile, sections: &BTreeSet<String>) -> Vec<Violation> {
    let mut violations = Vec::new();
    if !file.is_rust() || file.path.starts_with("tests/tidy/") {
        return violations;
    }
    for (index, line) in file.text.lines().enumerate() {
        for cited in cited(line) {
            if !sections.contains(&cited) {
                let place = format!("{}:{}", file.path, index + 1);
                violations.push(format!("{place}: SPEC.md has no section {cited}"));
            }
        }
    }
    violations
}

/// The numbers in `SPEC §2`, `SPEC.md §4.1`, `SPEC §2, §3 and §4`.
fn cited(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in line.split("SPEC").skip(1) {
        let mut rest = part.strip_prefix(".md").unwrap_or(part).trim_start_matches('`').trim_start();
        while let Some(after) = rest.strip_prefix('§') {
            let after = after.trim_start_matches('§').trim_start();
            let cited = number(after);
            // A full stop at the end of a sentence is not part of the number; `number` leaves it out.
            rest = after[cited.len()..].trim_start_matches([',', ' ', '/', '–', '-']);
            rest = rest.strip_prefix("and ").or_else(|| rest.strip_prefix("to ")).unwrap_or(rest);
            found.push(cited);
        }
    }
    found
}

/// A section number at the start of a text: `4`, `4.2`; empty when there is none.
fn number(text: &str) -> String {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.trim_end_matches('.').to_owned()
}

/// The byte string literals in module `tags`, without their closing zero or line end.
pub fn domain_tags(digest_source: &str) -> Vec<String> {
    let Some(module) = digest_source.split("mod tags").nth(1) else {
        return Vec::new();
    };
    // The module ends at the first closing brace in the first column.
    let module = module.split("\n}").next().unwrap_or(module);
    let code = module.lines().filter(|line| !line.trim_start().starts_with("//"));
    let literals = code.flat_map(|line| line.split("b\"").skip(1));
    let tags = literals.filter_map(|rest| rest.split('"').next());
    tags.map(|tag| tag.trim_end_matches("\\0").trim_end_matches("\\n").to_owned())
        .filter(|tag| !tag.is_empty())
        .collect()
}

/// Checks that the specification names every domain tag of the code.
pub fn tags_in_spec(tags: &[String], spec: &str) -> Vec<Violation> {
    if tags.is_empty() {
        return vec!["no domain tags found in module `tags`".to_owned()];
    }
    let missing = tags.iter().filter(|tag| !spec.contains(*tag));
    missing.map(|tag| format!("SPEC.md does not name the domain tag {tag}")).collect()
}

/// Checks that each dependency of the workspace says what it saves; our own packages need not.
pub fn explained_dependencies(manifest: &str) -> Vec<Violation> {
    let Some(table) = manifest.split("[workspace.dependencies]").nth(1) else {
        return vec!["Cargo.toml has no [workspace.dependencies]".to_owned()];
    };
    let table = table.split("\n[").next().unwrap_or(table);
    let lines = table.lines().filter(|line| line.contains('=') && !line.starts_with('#'));
    let foreign = lines.filter(|line| !line.contains("path = \""));
    let silent = foreign.filter(|line| line.split_once('#').is_none_or(|(_, why)| why.trim().len() < 3));
    silent.map(|line| format!("Cargo.toml: what does this save? {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_of_both_kinds_are_sections() {
        let found = sections("# Title\n## 6 Leaves\ntext §9\n### §4.2 Proofs\n## 7. Records\n");
        assert_eq!(found, ["4.2", "6", "7"].map(String::from).into());
    }

    #[test]
    fn a_citation_of_nothing_is_caught() {
        let sections = sections("## 2 Digests\n## 4 Trees\n### 4.2 Proofs\n");
        let check = |text: &str| cited_sections(&SourceFile::new("a.rs", text), &sections);
        assert_eq!(check("//! See SPEC §5."), ["a.rs:1: SPEC.md has no section 5"]);
        assert_eq!(check("//! SPEC.md §2, §3 and §4.2."), ["a.rs:1: SPEC.md has no section 3"]);
        assert_eq!(check("//! `SPEC.md` §9\n"), ["a.rs:1: SPEC.md has no section 9"]);
        assert!(check("//! SPEC §2 and SPEC §4. DESIGN §9").is_empty());
        assert_eq!(check("//! SPEC §x").len(), 1);
    }

    #[test]
    fn a_tag_that_the_specification_lacks_is_caught() {
        let source = "pub mod tags {\n    /// b\"doc\"\n    pub const A: &[u8] = b\"hashpact/a/v1\\0\";\n    pub const B: &[u8] = b\"hashpact/b/v1\\0\";\n}\nconst C: &[u8] = b\"other\";\n";
        let tags = domain_tags(source);
        assert_eq!(tags, ["hashpact/a/v1", "hashpact/b/v1"]);
        assert_eq!(tags_in_spec(&tags, "| `hashpact/a/v1\\0` |").len(), 1);
        assert!(tags_in_spec(&tags, "hashpact/a/v1 hashpact/b/v1").is_empty());
        assert_eq!(tags_in_spec(&domain_tags("no tags"), "").len(), 1);
    }

    #[test]
    fn a_dependency_without_a_reason_is_caught() {
        let manifest = "[workspace.dependencies]\n# Ours\nours = { path = \"x\" }\na = \"1\" # saves a\nb = \"2\"\nc = \"3\" #\n[profile.dev]\nx = 1\n";
        let found = explained_dependencies(manifest);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("b = \"2\""));
        assert_eq!(explained_dependencies("[workspace]").len(), 1);
    }
}
