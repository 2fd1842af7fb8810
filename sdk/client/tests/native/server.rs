//! A reference server with an application that keeps what it is given.

use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire::Options;
use readywire_protocol::config::ServerConfig;
use readywire_server::application::{Answer, Failure, Handler, Request};
use readywire_server::claims::Authority;
use readywire_server::faults::{FaultRequest, Faults};
use readywire_server::hub::{Hub, Parts};
use readywire_server::origin::Origins;
use readywire_server::service::{DelayService, Service, Services};
use readywire_server::{handlers, http};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Far beyond what any step takes: a test that gets here has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Every payload of `record`, in the order of processing.
#[derive(Clone, Default)]
pub(crate) struct Record(Arc<Mutex<Vec<String>>>);

impl Record {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Handler for Record {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.lock().unwrap().push(request.payload.text().unwrap_or_default().to_owned());
        std::future::ready(Ok(())).boxed()
    }
}

/// Needs the service `search`.
struct Needy(Record);

impl Handler for Needy {
    fn requires(&self) -> &[&str] {
        &["search"]
    }

    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        self.0.handle(request, answer)
    }
}

/// Counts to the number it is given, in one message each.
struct Count {
    pace: Option<Duration>,
}

impl Handler for Count {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let mut pace = self.pace.map(tokio::time::interval);
            for number in 0..request.read::<u64>()? {
                if let Some(pace) = &mut pace {
                    pace.tick().await;
                }
                answer.send("number", &json!(number)).await?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// Records the parts of a stream, each as soon as it is permitted to read one, and answers how many there were.
struct Gather {
    record: Record,
    permits: Arc<Semaphore>,
}

impl Handler for Gather {
    fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let mut count = 0u64;
            loop {
                self.permits.acquire().await.unwrap().forget();
                let Some(part) = request.parts.next().await else { break };
                let part = part?;
                let text = part.text().map_or_else(|| format!("{} bytes", part.size()), str::to_owned);
                if text == r#""enough""# {
                    break;
                }
                self.record.0.lock().unwrap().push(text);
                count += 1;
            }
            answer.end("gathered", &count).await
        }
        .boxed()
    }
}

/// Asks `confirm` with what it is given, and answers with the answer.
struct Ask;

impl Handler for Ask {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let permitted = request.ask("confirm", &request.payload, PATIENCE).await?;
            answer.part("permitted", permitted, true).await
        }
        .boxed()
    }
}

pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    pub(crate) record: Record,
    /// What `gather` may read.
    pub(crate) permits: Arc<Semaphore>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub(crate) async fn with(config: ServerConfig) -> Self {
        let faults = Arc::new(Faults::default());
        let record = Record::default();
        let permits = Arc::new(Semaphore::new(0));
        let service: Arc<dyn Service> =
            DelayService::new("search", Duration::ZERO, &faults).within(config.ready_timeout).wired();
        let hub = Hub::new(Parts {
            services: Services::start(vec![service]).unwrap(),
            config,
            application: handlers::application()
                .with("record", record.clone())
                .with("gather", Gather { record: record.clone(), permits: permits.clone() })
                .with("ask", Ask)
                .with("needy", Needy(record.clone()))
                .with("count", Count { pace: None })
                .with("count.slowly", Count { pace: Some(Duration::from_millis(10)) }),
            faults,
            origins: Origins::new([]),
            ..Parts::new(authority())
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service: IntoMakeServiceWithConnectInfo<_, SocketAddr> =
            http::router(hub.clone(), true, None, None).into_make_service_with_connect_info();
        let serving = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { address, hub, record, permits, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    pub(crate) fn fault(&self, request: FaultRequest) {
        self.hub.parts.faults.apply(request);
    }

    pub(crate) fn cut(&self) {
        self.fault(FaultRequest { cut: true, ..FaultRequest::default() });
    }
}

pub(crate) fn authority() -> Authority {
    Authority::new(b"a secret for tests, of enough bytes", "readywire", "readywire").unwrap()
}

pub(crate) fn token(subject: &str) -> String {
    authority().mint(subject, Duration::from_secs(3600))
}

/// Options that come back fast after a cut.
pub(crate) fn eager() -> Options {
    Options::new().bearer(token("alice")).backoff(
        Duration::from_millis(10),
        Duration::from_millis(10),
        Duration::from_millis(50),
    )
}
