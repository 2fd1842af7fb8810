use super::*;
use crate::faults::FaultRequest;
use crate::faults::Faults;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn switch(faults: &Faults, text: &str) {
    faults.apply(FaultRequest::parse(text).unwrap());
}

async fn every_step(start: &StartUp) -> Vec<Progress> {
    let mut progress = start.progress();
    let mut steps = vec![progress.borrow_and_update().clone()];
    while progress.changed().await.is_ok() {
        steps.push(progress.borrow_and_update().clone());
    }
    steps
}

fn pending(names: &[&str]) -> Progress {
    Progress::Pending(names.iter().map(|name| (*name).to_owned()).collect())
}

#[tokio::test(start_paused = true)]
async fn they_start_side_by_side_and_after_what_they_need() {
    let faults = Faults::default();
    let services = Services::start(vec![
        DelayService::new("search", seconds(1), &faults).after(&["storage"]).wired(),
        DelayService::new("storage", seconds(3), &faults).wired(),
        DelayService::new("model", seconds(2), &faults).wired(),
    ])
    .unwrap();
    let began = tokio::time::Instant::now();
    let steps = every_step(&services.connect("alice")).await;
    let expected = [
        pending(&["search", "storage", "model"]),
        pending(&["search", "storage"]),
        pending(&["search"]),
        Progress::Ready,
    ];
    assert_eq!(steps, expected);
    assert_eq!(began.elapsed().as_secs(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_failure_and_a_timeout_are_told_apart() {
    let faults = Faults::default();
    let slow = DelayService::new("search", seconds(9), &faults).within(seconds(5)).wired();
    let services = Services::start(vec![slow]).unwrap();
    let Some(Progress::Failed(late)) = every_step(&services.connect("alice")).await.pop() else { panic!() };
    assert_eq!((late.code(), &*late.service), (4201, "search"));
    assert_eq!(late.to_string(), "service `search` did not start in time: at AUTHENTICATED, pending: search");
    switch(&faults, r#"{"service_fail": ["search"]}"#);
    let Some(Progress::Failed(failed)) = every_step(&services.connect("alice")).await.pop() else { panic!() };
    assert_eq!((failed.code(), &*failed.service), (4202, "search"));
    switch(&faults, r#"{"reset": true, "service_delay_ms": {"search": 0}}"#);
    assert_eq!(services.connect("alice").now(), Progress::Ready, "a failed start is not joined");
}

#[tokio::test(start_paused = true)]
async fn a_start_goes_on_and_the_next_attempt_finds_it_further() {
    let faults = Faults::default();
    let services = Services::start(vec![DelayService::new("search", seconds(3), &faults).wired()]).unwrap();
    drop(services.connect("alice"));
    tokio::time::advance(seconds(2)).await;
    let began = tokio::time::Instant::now();
    let again = services.connect("alice");
    assert_eq!(every_step(&again).await.last(), Some(&Progress::Ready));
    assert_eq!(began.elapsed().as_secs(), 1);
    services.used("alice", &again);
    assert_eq!(services.connect("alice").now(), pending(&["search"]), "one start serves one connection");
    assert_eq!(services.connect("bob").now(), pending(&["search"]));
}

#[tokio::test(start_paused = true)]
async fn warm_services_are_ready_at_once() {
    let faults = Faults::default();
    let services = Services::start(vec![DelayService::new("search", seconds(0), &faults).wired()]).unwrap();
    assert_eq!(services.connect("alice").now(), Progress::Ready);
    assert_eq!(services.process().now(), Progress::Ready);
}

#[tokio::test(start_paused = true)]
async fn one_that_goes_bad_is_named_and_named_no_longer() {
    let faults = Faults::default();
    let services = Services::start(vec![DelayService::new("search", seconds(0), &faults).wired()]).unwrap();
    let mut impaired = services.impaired();
    switch(&faults, r#"{"impair": ["search"]}"#);
    impaired.changed().await.unwrap();
    assert_eq!(*impaired.borrow_and_update(), ["search"]);
    switch(&faults, r#"{"reset": true}"#);
    impaired.changed().await.unwrap();
    assert!(impaired.borrow().is_empty());
}

#[tokio::test]
async fn wiring_that_makes_no_sense_is_refused() {
    let faults = Faults::default();
    let service = |name: &str, after: &[&str]| DelayService::new(name, seconds(0), &faults).after(after).wired();
    let twice = Services::start(vec![service("a", &[]), service("a", &[])]);
    assert_eq!(twice.unwrap_err(), WiringError::Twice("a".into()));
    let unknown = Services::start(vec![service("a", &["b"])]);
    assert_eq!(unknown.unwrap_err(), WiringError::Unknown("a".into(), "b".into()));
    let circle = Services::start(vec![service("a", &["b"]), service("b", &["a"])]);
    assert_eq!(circle.unwrap_err(), WiringError::Circle(vec!["a".into(), "b".into()]));
}

/// A service of the process that does what the test says.
struct Scripted {
    name: &'static str,
    outcomes: Mutex<Vec<Result<(), &'static str>>>,
    gate: Option<Arc<tokio::sync::Notify>>,
    health: Mutex<Option<watch::Receiver<bool>>>,
}

impl Scripted {
    /// Starts with these outcomes, the last first; then panics.
    fn new(name: &'static str, outcomes: Vec<Result<(), &'static str>>) -> Self {
        Self { name, outcomes: Mutex::new(outcomes), gate: None, health: Mutex::default() }
    }
}

impl Service for Scripted {
    fn name(&self) -> &str {
        self.name
    }

    fn start<'a>(&'a self, subject: Option<&'a str>) -> BoxFuture<'a, Result<(), String>> {
        assert_eq!(subject, None, "it is of the process");
        Box::pin(async {
            if let Some(gate) = &self.gate {
                gate.notified().await;
            }
            let outcome = lock(&self.outcomes).pop().expect("not started that often");
            outcome.map_err(str::to_owned)
        })
    }

    fn health(&self) -> Option<watch::Receiver<bool>> {
        lock(&self.health).take()
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_waits_for_what_it_needs_of_the_process() {
    let faults = Faults::default();
    let gate = Arc::new(tokio::sync::Notify::new());
    let storage = Scripted { gate: Some(gate.clone()), ..Scripted::new("storage", vec![Ok(())]) };
    let search = DelayService::new("search", seconds(1), &faults).after(&["storage"]).wired();
    let services = Services::start(vec![search, Arc::new(storage)]).unwrap();
    let start = services.connect("alice");
    tokio::time::sleep(seconds(20)).await;
    assert_eq!(start.now(), pending(&["search"]), "it cannot start without storage");
    gate.notify_one();
    assert_eq!(every_step(&start).await.last(), Some(&Progress::Ready));
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_process_fails_who_needs_it_and_is_tried_again() {
    let faults = Faults::default();
    let storage = Arc::new(Scripted::new("storage", vec![Ok(()), Err("no disk")]));
    let model = Arc::new(Scripted::new("model", vec![Ok(())]));
    let search = DelayService::new("search", seconds(0), &faults).after(&["storage"]).wired();
    let services = Services::start(vec![model, storage, search]).unwrap();
    let Progress::Failed(failure) = services.connect("alice").now() else { panic!() };
    assert_eq!(failure.to_string(), "service `storage` failed to start: no disk");
    assert_eq!(services.process().now(), Progress::Failed(StartFailure { pending: vec!["storage".into()], ..failure }));
    tokio::time::advance(seconds(1)).await;
    // `model` runs already: a second start of it would panic.
    assert_eq!(services.connect("alice").now(), Progress::Ready);
    assert_eq!(services.process().now(), Progress::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_nobody_waits_for_ever() {
    let services = Services::start(vec![Arc::new(Scripted::new("storage", vec![]))]).unwrap();
    let Progress::Failed(failure) = services.process().now() else { panic!() };
    assert_eq!((failure.code(), &*failure.service), (4202, "storage"));
}

#[tokio::test(start_paused = true)]
async fn one_that_stops_reporting_is_impaired() {
    let (health, reports) = watch::channel(true);
    let storage = Scripted { health: Mutex::new(Some(reports)), ..Scripted::new("storage", vec![Ok(())]) };
    let services = Services::start(vec![Arc::new(storage)]).unwrap();
    let mut impaired = services.impaired();
    assert!(impaired.borrow_and_update().is_empty());
    drop(health);
    impaired.changed().await.unwrap();
    assert_eq!(*impaired.borrow(), ["storage"]);
}
