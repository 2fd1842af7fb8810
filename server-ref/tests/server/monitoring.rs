//! The alert rules and the dashboard ask only for what the server tells.

use crate::peer::{Raw, hello_as, started, switch};
use crate::web;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Labels by series, as a scrape of the server finds them.
type Series = BTreeMap<String, BTreeSet<String>>;

/// Part of every series once Prometheus has it.
const BY_PROMETHEUS: [&str; 2] = ["job", "instance"];

#[tokio::test]
async fn rules_and_dashboard_ask_for_what_is_there() {
    let told = told().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("monitoring");
    for (file, fewest) in [("alerts.yml", 8), ("dashboard.json", 12)] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        // What JSON escapes are quotes.
        let asked = asked(&text.replace("\\\"", "\""));
        assert!(asked.len() >= fewest, "{file} asks for {} series only", asked.len());
        for (series, labels) in asked {
            let known = told.get(&series).unwrap_or_else(|| panic!("{file}: there is no {series}"));
            for label in labels {
                let there = known.contains(&label) || BY_PROMETHEUS.contains(&label.as_str());
                assert!(there, "{file}: {series} has no label {label}, only {known:?}");
            }
        }
    }
}

#[test]
fn the_dashboard_is_one() {
    let text = include_str!("../../monitoring/dashboard.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    for panel in panels {
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{}", panel["title"]);
    }
}

#[test]
fn a_series_that_is_not_there_is_found_out() {
    let asked =
        asked(r#"sum(rate(readywire_sends_total{job="a",by=~"b,c"}[5m])) / readywire_nothing - readywire_sends_total"#);
    let expected = [("readywire_nothing", vec![]), ("readywire_sends_total", vec!["by", "job"])];
    let found: Vec<_> =
        asked.iter().map(|(name, labels)| (name.as_str(), Vec::from_iter(labels.iter().map(String::as_str)))).collect();
    assert_eq!(found, expected);
}

/// What a server tells that has seen a little of everything.
async fn told() -> Series {
    let server = started(&["--faults"]).await;
    let (mut ready, _) = Raw::ready(&server, &hello_as("alice")).await;
    switch(&server, json!({ "cut": true }));
    ready.cut().await;
    let mut wrong = hello_as("alice");
    wrong["auth"]["token"] = json!("nonsense");
    Raw::greet(&server, &wrong).await.ended().await;
    let text = web::get(server.address(), "/metrics").await.body;
    let mut told = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once(['{', ' ']).unwrap();
        let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
        told.entry(name.to_owned()).or_default().extend(matchers(labels));
    }
    told
}

/// The series that a text asks for, each with the labels that its selectors name.
fn asked(text: &str) -> Series {
    let mut asked = Series::new();
    for (at, _) in text.match_indices("readywire_") {
        let rest = &text[at..];
        let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        let selector = behind.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        asked.entry(name.to_owned()).or_default().extend(matchers(selector));
    }
    asked
}

/// The names in `name="value",other=~"value"`; values have no escaped quotes here, though they may have commas.
fn matchers(text: &str) -> Vec<String> {
    let outside = text.split('"').step_by(2);
    outside
        .map(|part| part.trim_matches([',', ' ', '=', '~', '!']).to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}
