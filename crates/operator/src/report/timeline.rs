//! The case as a picture: stages, the key's state, probes, attempts and people over time, as SVG.

use api::Timestamp;
use procedure::Span;

use super::page::Page;
use super::story::{KeyPhase, Story};
use super::words;

/// Where the time begins and ends, in user units; labels stand before it.
const LEFT: f64 = 92.0;
const RIGHT: f64 = 988.0;
/// The middles of the lanes.
const STAGE: f64 = 30.0;
const KEY: f64 = 74.0;
const WATCH: f64 = 114.0;
const USE: f64 = 148.0;
const PEOPLE: f64 = 180.0;
const AXIS: f64 = 206.0;
/// Half of a date's width.
const HALF_A_DATE: f64 = 34.0;
/// A letter of a label takes about this much.
const LETTER: f64 = 6.4;
/// Marks nearer than this are one mark.
const NEAR: f64 = 1.5;
/// Most marks of a lane that are drawn; more would not be told apart. (Ours.)
const MAX_MARKS: usize = 400;
/// Between two dates on the axis: seconds.
const STEPS: [i64; 14] = [
    60,
    600,
    3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    86_400,
    2 * 86_400,
    7 * 86_400,
    14 * 86_400,
    28 * 86_400,
    91 * 86_400,
    182 * 86_400,
    364 * 86_400,
];
/// Most dates on the axis.
const MAX_DATES: i64 = 9;

struct Scale {
    span: Span,
}

impl Scale {
    fn x(&self, at: Timestamp) -> f64 {
        let whole = self.span.length().as_secs_f64().max(1.0);
        let part = at.duration_since(self.span.since).as_secs_f64() / whole;
        LEFT + (RIGHT - LEFT) * part.clamp(0.0, 1.0)
    }

    fn box_of(&self, span: Span) -> (f64, f64) {
        let (from, to) = (self.x(span.since), self.x(span.until));
        (from, (to - from).max(1.0))
    }
}

/// Draws it.
pub(super) fn draw(story: &Story, page: &mut Page) {
    let scale = Scale { span: story.span() };
    page.raw(r#"<svg viewBox="0 0 1000 232" role="img" aria-labelledby="tl-title tl-desc"><title id="tl-title">Timeline of "#);
    page.text(&story.case)
        .raw(r#"</title><desc id="tl-desc">Stages, key state, probes, use attempts and people from "#);
    page.text(words::span(scale.span)).raw("</desc>");
    page.raw(r#"<defs><pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path class="hatch" d="M0 0V6"/></pattern></defs>"#);
    axis(&scale, page);
    for (name, y) in [("Stage", STAGE), ("Key", KEY), ("Watch", WATCH), ("Use", USE), ("People", PEOPLE)] {
        page.raw(r#"<text class="lane" x="0" y=""#).number(y + 4.0).raw(r#"">"#).text(name).raw("</text>");
    }
    stages(story, &scale, page);
    key(story, &scale, page);
    watch(story, &scale, page);
    attempts(story, &scale, page);
    people(story, &scale, page);
    if let Some(date) = story.deletion_date.filter(|date| scale.span.since <= *date && *date <= scale.span.until) {
        let x = scale.x(date);
        page.raw(r#"<path class="deadline" d="M"#).number(x).raw(" 56V").number(AXIS).raw(r#""><title>deletion date "#);
        page.text(words::moment(date)).raw("</title></path>");
    }
    page.raw("</svg>");
}

fn axis(scale: &Scale, page: &mut Page) {
    let length = scale.span.length().as_secs();
    let step = STEPS
        .into_iter()
        .find(|step| length / step <= MAX_DATES)
        .unwrap_or(364 * 86_400 * (length / (3_640 * 86_400) + 1));
    page.raw(r#"<path class="axis" d="M"#).number(LEFT).raw(" ").number(AXIS).raw("H").number(RIGHT).raw(r#""/>"#);
    let mut at = scale.span.since.as_second().div_euclid(step) * step;
    while at <= scale.span.until.as_second() {
        if let Some(moment) = Timestamp::from_second(at).ok().filter(|moment| scale.span.since <= *moment) {
            let x = scale.x(moment);
            let label = if step >= 86_400 { words::day(moment) } else { words::moment(moment).replace(" UTC", "") };
            page.raw(r#"<path class="grid" d="M"#).number(x).raw(" 12V").number(AXIS).raw(r#""/>"#);
            // A date at the very end would run out of the picture.
            if x + HALF_A_DATE <= RIGHT {
                page.raw(r#"<text class="date" text-anchor="middle" x=""#).number(x).raw(r#"" y=""#);
                page.number(AXIS + 18.0).raw(r#"">"#).text(label).raw("</text>");
            }
        }
        at += step;
    }
}

fn block(
    page: &mut Page,
    class: &'static str,
    middle: f64,
    height: f64,
    (x, width): (f64, f64),
    title: &str,
    label: &str,
) {
    page.raw(r#"<g><rect class=""#)
        .text(class)
        .raw(r#"" rx="3" x=""#)
        .number(x)
        .raw(r#"" y=""#)
        .number(middle - height / 2.0);
    page.raw(r#"" width=""#)
        .number(width)
        .raw(r#"" height=""#)
        .number(height)
        .raw(r#""><title>"#)
        .text(title)
        .raw("</title></rect>");
    #[expect(clippy::cast_precision_loss, reason = "a label has far fewer than 2^52 letters")]
    let fits = label.chars().count() as f64 * LETTER + 10.0 <= width;
    if fits {
        page.raw(r#"<text class="label" x=""#).number(x + 6.0).raw(r#"" y=""#).number(middle + 4.0).raw(r#"">"#);
        page.text(label).raw("</text>");
    }
    page.raw("</g>");
}

fn stages(story: &Story, scale: &Scale, page: &mut Page) {
    for stretch in &story.stages {
        let class = match stretch.stage {
            "assessing" | "assessed" | "await-approval(disable)" | "preserving" => "before",
            "disabling" | "soaking" | "soak-passed" | "await-approval(delete)" | "scheduling" => "soak",
            "pending" | "last-look" | "committed" => "pending",
            "rescuing" | "rescued" | "returning" => "rescue",
            _ => "after",
        };
        let title =
            format!("{}: {}, {}", stretch.stage, words::span(stretch.span), words::length(stretch.span.length()));
        block(page, class, STAGE, 26.0, scale.box_of(stretch.span), &title, stretch.stage);
    }
}

fn key(story: &Story, scale: &Scale, page: &mut Page) {
    for (place, (since, phase)) in story.key_states.iter().enumerate() {
        let until = story.key_states.get(place + 1).map_or(scale.span.until, |(at, _)| *at);
        let (class, label) = match phase {
            KeyPhase::Enabled => ("enabled", "Enabled"),
            KeyPhase::Disabled => ("disabled", "Disabled"),
            KeyPhase::Pending => ("deleting", "PendingDeletion"),
            KeyPhase::Gone => ("gone", "gone"),
        };
        let span = Span::new(*since, until);
        block(page, class, KEY, 18.0, scale.box_of(span), &format!("{label}: {}", words::span(span)), label);
    }
}

fn watch(story: &Story, scale: &Scale, page: &mut Page) {
    for blind in &story.watch.blind {
        block(page, "blind", WATCH, 18.0, scale.box_of(*blind), &format!("blind: {}", words::span(*blind)), "");
    }
    let at = |back: bool| {
        let mut marks: Vec<f64> =
            story.probes.iter().filter(|probe| probe.back.is_some() == back).map(|probe| scale.x(probe.at)).collect();
        marks.dedup_by(|next, last| *next - *last < NEAR);
        marks
    };
    for (class, marks) in [("probe", at(true)), ("probe lost", at(false))] {
        if marks.is_empty() {
            continue;
        }
        page.raw(r#"<path class=""#).text(class).raw(r#"" d=""#);
        for x in marks {
            page.raw("M").number(x).raw(" ").number(WATCH - 6.0).raw("v12");
        }
        page.raw(r#""/>"#);
    }
}

fn attempts(story: &Story, scale: &Scale, page: &mut Page) {
    for attempt in story.attempts.iter().rev().take(MAX_MARKS) {
        let x = scale.x(attempt.at);
        page.raw(r#"<path class="attempt" d="M"#).number(x).raw(" ").number(USE - 7.0);
        page.raw(r#"l6 7l-6 7l-6 -7z"><title>"#);
        page.text(format_args!(
            "{} by {} at {}: {}",
            attempt.operation,
            attempt.principal,
            words::moment(attempt.at),
            attempt.error
        ));
        page.raw("</title></path>");
    }
}

fn people(story: &Story, scale: &Scale, page: &mut Page) {
    for said in story.people.iter().take(MAX_MARKS) {
        page.raw(r#"<circle class="person" r="5" cx=""#)
            .number(scale.x(said.at))
            .raw(r#"" cy=""#)
            .number(PEOPLE)
            .raw(r#""><title>"#);
        page.text(format_args!("{} {}, {}", said.by, said.what, words::moment(said.at))).raw("</title></circle>");
    }
}
