//! The container image and the compose consortium, checked without an engine.
//!
//! Only the shape that these two files are written in is understood: two spaces of indentation, one mapping of
//! services. What cannot be seen from the text (that the image builds, that members find one another) is not
//! claimed.

use crate::Violation;

/// Checks the image: pinned toolchain and base, only our two programs, an ordinary user, a health check.
pub fn image(dockerfile: &str, toolchain: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut require = |good: bool, what: &str| {
        if !good {
            violations.push(format!("Dockerfile: {what}"));
        }
    };
    let lines: Vec<&str> = dockerfile.lines().map(str::trim).filter(|line| !line.starts_with('#')).collect();
    let from: Vec<usize> = (0..lines.len()).filter(|line| lines[*line].starts_with("FROM ")).collect();
    let release = toolchain.split("channel = \"").nth(1).and_then(|rest| rest.split('"').next());
    let release = release.and_then(|channel| channel.rsplit_once('.')).map_or("?", |(minor, _)| minor);
    let rust = from.iter().any(|line| lines[*line].contains(&format!("rust:{release}")));
    require(rust, &format!("a stage must start from rust:{release}, as rust-toolchain.toml says"));
    let pinned = from.iter().all(|line| lines[*line].contains("bookworm"));
    require(pinned, "every base must be pinned to a Debian release");
    require(from.len() >= 2, "the program must not be shipped with the compiler");

    let last = &lines[from.last().copied().unwrap_or(0)..];
    let user = last.iter().rev().find_map(|line| line.strip_prefix("USER "));
    let ordinary = user.is_some_and(|user| !["root", "0", "0:0", "root:root"].contains(&user.trim()));
    require(ordinary, "the last stage must run as an ordinary user");
    require(last.iter().any(|line| line.starts_with("HEALTHCHECK ")), "the last stage has no health check");
    let copied = last.iter().filter(|line| line.starts_with("COPY ") || line.starts_with("ADD "));
    let mut programs: Vec<&str> =
        copied.flat_map(|line| line.split_whitespace()).filter(|word| word.starts_with('/')).collect();
    // The last path of a COPY is where it goes.
    programs.retain(|path| !path.ends_with('/'));
    programs.sort_unstable();
    let names: Vec<&str> = programs.iter().filter_map(|path| path.rsplit('/').next()).collect();
    require(
        names == ["hashpact", "hashpact-node"],
        "the last stage must copy hashpact and hashpact-node only",
    );
    violations
}

/// Checks the compose file: so many members, each watched, with a volume, and reachable from this machine only.
pub fn compose(text: &str, members: usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    let services = services(text);
    let nodes: Vec<&(String, Vec<&str>)> =
        services.iter().filter(|(name, _)| name.starts_with("member-")).collect();
    if nodes.len() != members {
        violations.push(format!("compose.yaml: {} members, not {members}", nodes.len()));
    }
    for (name, lines) in nodes {
        for part in ["healthcheck:", "volumes:", "restart:"] {
            if !lines.iter().any(|line| line.trim().starts_with(part)) {
                violations.push(format!("compose.yaml: {name} has no {part}"));
            }
        }
    }
    for (name, lines) in &services {
        for port in published(lines) {
            if !port.starts_with("127.0.0.1:") {
                violations.push(format!("compose.yaml: {name} publishes {port} beyond this machine"));
            }
        }
        if lines.iter().any(|line| line.contains("privileged: true") || line.contains("network_mode: host")) {
            violations.push(format!("compose.yaml: {name} has rights that it does not need"));
        }
    }
    let images = text.lines().map(str::trim).filter_map(|line| line.strip_prefix("image: "));
    for image in images.filter(|image| image.ends_with(":latest") || !image.contains(':')) {
        violations.push(format!("compose.yaml: {image} is not pinned"));
    }
    violations
}

/// The services with their lines.
fn services(text: &str) -> Vec<(String, Vec<&str>)> {
    let mut services: Vec<(String, Vec<&str>)> = Vec::new();
    let mut inside = false;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let depth = line.len() - line.trim_start().len();
        match depth {
            0 => inside = line == "services:",
            2 if inside => services.push((line.trim().trim_end_matches(':').to_owned(), Vec::new())),
            _ if inside => {
                if let Some((_, lines)) = services.last_mut() {
                    lines.push(line);
                }
            }
            _ => {}
        }
    }
    services
}

/// The entries below `ports:`.
fn published<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let below = lines.iter().skip_while(|line| line.trim() != "ports:").skip(1);
    let entries = below.map_while(|line| line.trim().strip_prefix("- "));
    entries.map(|entry| entry.trim_matches('"')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLCHAIN: &str = "channel = \"1.95.0\"";
    const IMAGE: &str = "FROM rust:1.95-bookworm AS build\nRUN x\nFROM debian:bookworm-slim\n\
        COPY --from=build /out/hashpact /out/hashpact-node /usr/local/bin/\nUSER 1000\nHEALTHCHECK CMD x\n";

    #[test]
    fn a_careless_image_is_caught() {
        assert_eq!(image(IMAGE, TOOLCHAIN), Vec::<String>::new());
        for (good, bad) in [
            ("USER 1000\n", ""),
            ("USER 1000", "USER root"),
            ("HEALTHCHECK CMD x\n", ""),
            ("rust:1.95-bookworm", "rust:1.90-bookworm"),
            ("debian:bookworm-slim", "debian:latest"),
            ("/out/hashpact ", "/out/hashpact /out/keys "),
            ("FROM debian:bookworm-slim\n", ""),
        ] {
            assert!(!image(&IMAGE.replace(good, bad), TOOLCHAIN).is_empty(), "{good} -> {bad}");
        }
    }

    const COMPOSE: &str = "services:\n  member-a:\n    image: x:1\n    restart: always\n    healthcheck:\n      test: y\n    \
        volumes:\n      - a:/data\n    ports:\n      - \"127.0.0.1:7411:7410\"\nvolumes:\n  a:\n";

    #[test]
    fn a_careless_consortium_is_caught() {
        assert_eq!(compose(COMPOSE, 1), Vec::<String>::new());
        assert_eq!(compose(COMPOSE, 3).len(), 1);
        for (good, bad) in [
            ("127.0.0.1:7411:7410", "7411:7410"),
            ("127.0.0.1:7411:7410", "0.0.0.0:7411:7410"),
            ("    healthcheck:\n      test: y\n", ""),
            ("    volumes:\n      - a:/data\n", ""),
            ("restart: always", "restart: always\n    privileged: true"),
            ("x:1", "x:latest"),
        ] {
            assert!(!compose(&COMPOSE.replace(good, bad), 1).is_empty(), "{good} -> {bad}");
        }
    }
}
