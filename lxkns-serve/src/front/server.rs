//! Connections, and from a request to its response.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, LINK, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tracing::{info, warn};

use super::bodies::Bodies;
use super::body::{self, Body};
use super::carried::Carried;
use super::client::{Client, Peer, is_host_known};
use super::conditions::{is_known, max_age, tag, text};
use super::encoding::Encoding;
use super::followers::Followers;
use super::gate::Gate;
use super::link::{Reader, Unanswered};
use super::logins::{Logins, NEXT_TRY};
use super::openapi::Description;
use super::page::{self, Part};
use super::patient::Patient;
use super::places::{Answered, Place, Places};
use super::problem::Problem;
use super::routes::{self, Does, NotUnderstood};
use super::stats::Stats;
use super::web::Page;
use crate::access::certificate_names;
use crate::exposition::{self, Family, Form};
use crate::protocol::{Bounded as _, Content, Kind, Question};
use crate::settings::FrontSettings;
use crate::web::Web;

/// The most bytes of the head of a request.
const LONGEST_HEAD: usize = 16 * 1024;
/// The most headers of a request.
const MOST_HEADERS: usize = 64;
/// A body that is shorter is not compressed.
const WORTH_COMPRESSING: u64 = 1024;
/// The most bytes of the reader's metrics: the longest labels, for each of eight values of a link.
const LONGEST_METRICS: usize = 8 << 20;
/// How long nothing is accepted after there was no room for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How long an answer may go on after a new configuration has come, which may not know the client any more.
const LAST_ANSWER: Duration = Duration::from_secs(60);

/// The number of a request, in its response and in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Pages of other sites load nothing of the service, not even what they cannot read.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What a browser may do with an answer that is no page.
pub(super) const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Proxies pass each event on as it comes: nginx collects answers otherwise.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The state that an answer is about.
const STATE: HeaderName = HeaderName::from_static("lxkns-state");

/// What is listened on.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// The socket that the supervisor has passed.
    pub(super) fn new(fd: OwnedFd, is_unix: bool) -> anyhow::Result<Self> {
        Ok(if is_unix {
            Self::Unix(UnixListener::from_std(fd.into()).context("a listener")?)
        } else {
            Self::Tcp(TcpListener::from_std(fd.into()).context("a listener")?)
        })
    }
}

/// A connection of any kind: what serves one serves all.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// All connections.
pub(super) struct Server {
    settings: FrontSettings,
    gate: Mutex<Arc<Gate>>,
    /// How often another gate has come.
    gates: watch::Sender<u64>,
    logins: Option<Logins>,
    /// A page in place of the program's own.
    web: Option<Page>,
    reader: Arc<Reader>,
    bodies: Arc<Bodies>,
    places: Arc<Places>,
    followers: Arc<Followers>,
    stopping: watch::Sender<bool>,
    stats: Stats,
    carried: Carried,
    requests: AtomicU64,
    /// What request IDs begin with, asked for once.
    pid: u32,
    description: OnceLock<Description>,
}

impl Server {
    pub(super) fn new(
        settings: FrontSettings,
        gate: Gate,
        logins: Option<Logins>,
        web: Option<Web>,
        reader: Arc<Reader>,
    ) -> Self {
        let web = web.map(|web| Page::new(web, &settings.base_path));
        let places = Places::new(settings.most_connections);
        let followers = Followers::new(settings.most_followers);
        let (stopping, _) = watch::channel(false);
        let (gates, _) = watch::channel(0);
        let gate = Mutex::new(Arc::new(gate));
        let (stats, requests) = (Stats::default(), AtomicU64::new(0));
        let (bodies, description, pid) = (Arc::default(), OnceLock::new(), std::process::id());
        Self {
            settings,
            gate,
            gates,
            logins,
            web,
            reader,
            bodies,
            places,
            followers,
            stopping,
            stats,
            carried: Carried::default(),
            requests,
            pid,
            description,
        }
    }

    fn gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lets clients in by this gate from now on. Connections that were let in by another end with their next answer.
    pub(super) fn take_gate(&self, gate: Gate) {
        *self.gate.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(gate);
        self.gates.send_modify(|number| *number += 1);
    }

    pub(super) fn reader(&self) -> &Arc<Reader> {
        &self.reader
    }

    /// Accepts connections until the service stops.
    pub(super) async fn accept(self: Arc<Self>, listener: Listener) {
        let mut stopping = self.stopping.subscribe();
        let mut is_short = false;
        loop {
            let accepted = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                accepted = self.next(&listener) => accepted,
            };
            match accepted {
                Ok(()) => {
                    if std::mem::take(&mut is_short) {
                        info!(process = "front", "connections are accepted again");
                    }
                }
                // The client has gone.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    // No descriptor or memory is left: connections wait until there is. Once is enough to know.
                    if !std::mem::replace(&mut is_short, true) {
                        warn!(process = "front", %error, "connections are not accepted");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn next(self: &Arc<Self>, listener: &Listener) -> io::Result<()> {
        // The place comes second: a listener that waits takes none from others.
        match listener {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // It only costs time.
                let _ = stream.set_nodelay(true);
                self.start(Box::new(stream), Client::of(Peer::Tcp(address)), self.places.take().await);
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred().ok().map(|peer| peer.uid());
                self.start(Box::new(stream), Client::of(Peer::Unix(uid)), self.places.take().await);
            }
        }
        Ok(())
    }

    /// Serves a connection.
    fn start(self: &Arc<Self>, stream: Box<dyn Stream>, client: Client, place: Arc<Place>) {
        let server = Arc::clone(self);
        tokio::spawn(async move {
            server.stats.accepted.fetch_add(1, Ordering::Relaxed);
            server.stats.connections.fetch_add(1, Ordering::Relaxed);
            let gates = server.gates.subscribe();
            let served = async {
                if let Some((stream, client)) = server.let_in(stream, client).await {
                    server.serve(stream, client, &place, gates).await;
                }
            };
            tokio::select! {
                () = served => {}
                () = place.lost() => server.stats.refuse("idle"),
            }
            server.stats.connections.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// What a client's requests are read from, once it is let in, and who it is. Over TLS it has as long as for the head of a
    /// request.
    async fn let_in(&self, stream: Box<dyn Stream>, mut client: Client) -> Option<(Box<dyn Stream>, Client)> {
        let gate = self.gate();
        let Some(tls) = gate.tls().filter(|_| client.is_tcp()) else { return Some((stream, client)) };
        let (reason, error) = match tokio::time::timeout(self.settings.header_timeout, tls.accept(stream)).await {
            Err(_) => ("tls", "no handshake in time".to_owned()),
            Ok(Err(error)) => ("tls", error.to_string()),
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let certificate = chain.and_then(|chain| chain.first());
                client.certificate = certificate.map(|certificate| certificate_names(certificate).into());
                if gate.lets_in(certificate) {
                    return Some((Box::new(stream), client));
                }
                ("certificate", "the client's certificate has none of the allowed names".to_owned())
            }
        };
        self.stats.refuse(reason);
        let certificate = client.certificate.as_deref();
        info!(process = "front", %client, certificate, %error, "connection refused");
        None
    }

    /// Waits until the service stops, or lets clients in by another gate.
    fn ends(&self) -> impl Future<Output = ()> + Send + 'static {
        let (mut stopping, mut gates) = (self.stopping.subscribe(), self.gates.subscribe());
        async move {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => {}
                _ = gates.changed() => {}
            }
        }
    }

    async fn serve(
        self: &Arc<Self>,
        stream: Box<dyn Stream>,
        client: Client,
        place: &Arc<Place>,
        mut gates: watch::Receiver<u64>,
    ) {
        let service = hyper::service::service_fn(|request: Request<Incoming>| {
            let (server, client, answering) = (Arc::clone(self), client.clone(), place.answer());
            async move {
                let response = server.respond(&request, &client).await;
                Ok::<_, Infallible>(response.map(|body| Answered { body, _answering: answering }))
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.settings.header_timeout)
            .max_buf_size(LONGEST_HEAD)
            .max_headers(MOST_HEADERS);
        let stream = TokioIo::new(Patient::new(stream, self.settings.write_timeout));
        let mut connection = std::pin::pin!(http.serve_connection(stream, service));
        let mut stopping = self.stopping.subscribe();
        // How it ends is the client's affair.
        let has_ended = tokio::select! {
            _ = connection.as_mut() => true,
            _ = stopping.wait_for(|stopping| *stopping) => false,
            _ = gates.changed() => false,
        };
        if !has_ended {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(LAST_ANSWER.max(self.settings.shutdown), connection).await;
        }
    }

    /// Finishes what was begun, for so long at most.
    pub(super) async fn drain(&self, patience: Duration) {
        self.stopping.send_replace(true);
        // Each connection has a place; those that accept have given theirs back.
        let _ = tokio::time::timeout(patience, self.places.all_free(self.settings.most_connections)).await;
    }

    async fn respond(&self, request: &Request<Incoming>, client: &Client) -> Response<Body> {
        let began = Instant::now();
        let id = self.requests.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:x}-{id:x}", self.pid);
        let mut user = None;
        let (route, mut response) = match self.answer(request, client, &mut user).await {
            Ok(answered) => answered,
            Err((route, problem)) => {
                self.stats.refuse(problem.kind);
                let is_for_programs = problem == Problem::CREDENTIALS && !self.gate().has_users();
                (route, refusal(&if is_for_programs { Problem::TOKEN } else { problem }))
            }
        };
        let took = began.elapsed();
        let status = response.status();
        self.stats.note(route, status.as_u16(), took);
        let certificate = client.certificate.as_deref();
        info!(process = "front", request = id, %client, certificate, user, method = %request.method(), route, status = status.as_u16(), ms = took.as_micros() as f64 / 1e3);
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
        // The page has one of its own.
        let policy = headers.entry(CONTENT_SECURITY_POLICY);
        policy.or_insert(HeaderValue::from_static(POLICY));
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        let gate = self.gate();
        for (name, value) in gate.headers() {
            headers.insert(name, value.clone());
        }
        if status == StatusCode::UNAUTHORIZED {
            for challenge in gate.challenges() {
                headers.append(WWW_AUTHENTICATE, challenge);
            }
        }
        response
    }

    /// The response to a request, with the path of its route.
    async fn answer(
        &self,
        request: &Request<Incoming>,
        client: &Client,
        user: &mut Option<String>,
    ) -> Result<(&'static str, Response<Body>), (&'static str, Problem)> {
        const NONE: &str = "none";
        let headers = request.headers();
        let path = request.uri().path().strip_prefix(self.settings.base_path.as_str());
        *user = self.permit(request, client, path).await.map_err(|problem| (NONE, problem))?;
        #[cfg(feature = "_intruder")]
        if let Some(path) = path.filter(|path| path.starts_with("/intruder")) {
            return Ok(("intruder", plain("application/json", super::intruder::tries(path, &self.reader))));
        }
        let path = path.ok_or((NONE, Problem::NO_ROUTE))?;
        let Some((route, taken)) = routes::find(path) else {
            const PAGE: &str = "page";
            let encoding = Encoding::accepted(&text(headers, &ACCEPT_ENCODING), &[Encoding::Gzip]);
            let part = match &self.web {
                Some(web) => {
                    Some(path).filter(|path| !is_of_api(path)).and_then(|path| web.find(path, headers, encoding))
                }
                None => page::find(path).map(|file| file.part(encoding)),
            };
            if part.is_none() && !path.is_empty() {
                return Err((NONE, Problem::NO_ROUTE));
            }
            only_reads(request).map_err(|problem| (PAGE, problem))?;
            return Ok((PAGE, part.map_or_else(|| to_the_page(request), |part| part_of_page(part, request))));
        };
        let failed = |problem| (route.path, problem);
        only_reads(request).map_err(failed)?;
        let response = match route.does {
            Does::Ask(kind, segment) => {
                // The Go program looks at no parameter.
                let query = request.uri().query().filter(|_| !route.is_of_go());
                let question = routes::question(route, (kind, segment), taken, query);
                let question = question.map_err(|not| match not {
                    NotUnderstood::Path => failed(Problem::NO_ROUTE),
                    NotUnderstood::Query => failed(Problem::QUERY),
                    NotUnderstood::Parameter(name) => failed(Problem::unknown_parameter(&name, route)),
                    NotUnderstood::Repeated(name) => failed(Problem::repeated_parameter(name)),
                })?;
                let question = since_last(question, headers).map_err(failed)?;
                self.ask(question, request, client).await.map_err(failed)?
            }
            Does::Alive => plain("text/plain; charset=utf-8", "ok\n"),
            Does::Metrics => self.metrics(headers).await.map_err(failed)?,
            Does::OpenApi => {
                let encoding = Encoding::accepted(&text(headers, &ACCEPT_ENCODING), &[Encoding::Gzip]);
                part_of_page(self.description().part(encoding), request)
            }
        };
        Ok((route.path, response))
    }

    /// Who sends this request, where it must say so.
    ///
    /// # Errors
    ///
    /// This client may not send this request, whatever it asks for.
    async fn permit(
        &self,
        request: &Request<Incoming>,
        client: &Client,
        path: Option<&str>,
    ) -> Result<Option<String>, Problem> {
        let (headers, gate, settings) = (request.headers(), self.gate(), &self.settings);
        if !is_host_known(client, request.uri(), headers, &settings.hosts, |name| gate.has_name(name)) {
            return Err(Problem::HOST);
        }
        if let Peer::Unix(uid) = client.peer
            && !settings.allowed_uids.is_empty()
            && !uid.is_some_and(|uid| settings.allowed_uids.contains(&uid))
        {
            return Err(Problem::PEER);
        }
        // That the front is alive is no secret, and those who ask have none.
        if path == Some("/healthz") {
            return Ok(None);
        }
        let user = match client.peer {
            Peer::Tcp(address) => gate.knows(headers, address.ip(), self.logins.as_ref()).await?,
            // Over a UNIX socket the kernel says who it is.
            Peer::Unix(_) => None,
        };
        // Last: a client that is not known takes no request from those who are.
        if gate.is_in_rate() { Ok(user) } else { Err(Problem::RATE) }
    }

    async fn ask(
        &self,
        question: Question,
        request: &Request<Incoming>,
        client: &Client,
    ) -> Result<Response<Body>, Problem> {
        let headers = request.headers();
        let following = match question.kind {
            Kind::Events => Some(self.followers.add(client).ok_or(Problem::FOLLOWERS)?),
            _ => None,
        };
        let patience = self.patience(question.kind);
        let asked = self.reader.ask(question, max_age(headers));
        let answer = tokio::time::timeout(patience, asked).await;
        let mut answer = answer.map_err(|_| Problem::TIMEOUT)??;
        let head = answer.head;
        if let (Content::Events, Some(following)) = (head.content, following) {
            let mut response = plain("text/event-stream", String::new());
            response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
            if request.method() != Method::HEAD {
                *response.body_mut() = body::followed(answer, following, self.ends());
            }
            return Ok(response);
        }
        let accept = text(headers, &ACCEPT_ENCODING);
        let encoding = if head.length < WORTH_COMPRESSING && !Encoding::is_needed(&accept) {
            Encoding::Identity
        } else {
            Encoding::accepted(&accept, &[Encoding::Zstd, Encoding::Gzip])
        };
        let tag = tag(&head, encoding);
        let mut response = Response::new(body::whole(""));
        let fields = response.headers_mut();
        let age = (head.age_ms / 1000).to_string();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
        for (name, value) in [(ETAG, tag.as_str()), (AGE, age.as_str())] {
            if let Ok(value) = HeaderValue::from_str(value) {
                fields.insert(name, value);
            }
        }
        if let Some((epoch, number)) = head.state {
            let state = format!("{epoch:08x}.{number}");
            let next = head.next.map(|next| next_page(request, &state, next));
            for (name, value) in [(LINK, next), (STATE, Some(state))] {
                if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
                    fields.insert(name, value);
                }
            }
        }
        let is_fine = head.status == 200;
        if is_fine && is_known(headers, &tag) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        }
        let content = match head.content {
            Content::Json | Content::Metrics | Content::Events => "application/json",
            Content::Lines => "application/jsonl",
            Content::MergePatch => "application/merge-patch+json",
            Content::Problem => "application/problem+json",
        };
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        let is_wanted = request.method() != Method::HEAD;
        let sent = match self.bodies.find(&head, encoding) {
            None if is_wanted && head.has_one_piece() => {
                Some(body::of_one_piece(&mut answer, encoding, self.bodies.note(&head, encoding)).await?)
            }
            found => found,
        };
        if let Some(name) = encoding.name() {
            fields.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
        }
        let length = match &sent {
            Some(bytes) => Some(bytes.len() as u64),
            None => (encoding == Encoding::Identity).then_some(head.length),
        };
        fields.extend(length.map(|length| (CONTENT_LENGTH, HeaderValue::from(length))));
        if !is_fine {
            fields.remove(ETAG);
        }
        if head.status == 503 {
            fields.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if is_wanted {
            *response.body_mut() = match sent {
                Some(bytes) => body::whole(bytes),
                None => body::streamed(answer, encoding, self.bodies.note(&head, encoding)),
            };
        }
        Ok(response)
    }

    /// The timeout for the beginning of an answer to a question of this kind.
    fn patience(&self, kind: Kind) -> Duration {
        let patience = self.settings.answer_timeout;
        if kind.watches() { for_who_watches(patience) } else { patience }
    }

    /// The description of the API, which is made once.
    fn description(&self) -> &Description {
        self.description.get_or_init(|| Description::new(&self.settings.base_path))
    }

    /// The reader's metrics and our own. Without a reader there are only ours.
    async fn metrics(&self, headers: &HeaderMap) -> Result<Response<Body>, Problem> {
        let asked = async {
            let answer = self.reader.ask(Question::plain(Kind::Metrics), max_age(headers)).await?;
            let start = answer.head.state.map(|(start, _)| start);
            Ok::<_, Unanswered>((start, answer.whole(LONGEST_METRICS).await?))
        };
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let mut families = vec![Family::new(exposition::Kind::Info, "lxkns_build", "The program").with(&version, 1.0)];
        let asked = tokio::time::timeout(self.patience(Kind::Metrics), asked).await;
        let asked = asked.ok().and_then(Result::ok);
        let found = asked.and_then(|(start, body)| Some((start, postcard::from_bytes::<Vec<Family>>(&body).ok()?)));
        match found {
            Some((start, found)) => families.extend(self.carried.of_start(start, found)),
            None => {
                let up = Family::new(exposition::Kind::Gauge, "lxkns_up", "Whether the host could be read");
                families.push(up.with(&[], 0.0));
                families.extend(self.carried.last());
            }
        }
        families.extend(self.reader.metrics());
        families.extend(self.stats.families());
        let form = Form::accepted(&text(headers, &ACCEPT));
        let encoding = Encoding::accepted(&text(headers, &ACCEPT_ENCODING), &[Encoding::Gzip]);
        let body = encoding
            .whole(exposition::write(&families, form).into_bytes())
            .map_err(|_| Problem::from(Unanswered::Busy))?;
        let mut response = plain(form.content_type(), body);
        let fields = response.headers_mut();
        fields.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
        fields.extend(encoding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
        Ok(response)
    }
}

/// How long those who watch whether the service is well wait, where others wait this long. They give up after seconds, and
/// the reader must have had the time to tell them why it is late.
fn for_who_watches(patience: Duration) -> Duration {
    (patience / 8).max(Duration::from_secs(4))
}

/// Where the next page of a list is: what was asked, with another cursor.
fn next_page(request: &Request<Incoming>, state: &str, next: u32) -> String {
    let query = request.uri().query().unwrap_or_default();
    let rest = query.split('&').filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let rest: String = rest.map(|part| format!("{part}&")).collect();
    format!("<?{rest}cursor={state}.{next}>; rel=\"next\"")
}

/// The question of a client that follows events, with what it says that it has heard last.
fn since_last(mut question: Question, headers: &HeaderMap) -> Result<Question, Problem> {
    const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
    if question.kind == Kind::Events && headers.contains_key(LAST_EVENT_ID) {
        // A browser that connects again asks as it did first: the header counts.
        let id: String = text(headers, &LAST_EVENT_ID).chars().take(64).collect();
        question.parameters.retain(|(name, _)| name != "since");
        question.parameters.push(("since".to_owned(), id));
    }
    if question.is_in_bounds() { Ok(question) } else { Err(Problem::QUERY) }
}

/// Refuses what would be more than reading.
fn only_reads(request: &Request<Incoming>) -> Result<(), Problem> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Problem::METHOD);
    }
    if request.body().is_end_stream() { Ok(()) } else { Err(Problem::BODY) }
}

/// Leads from the base path to the page: what it loads is beside it only after a slash.
fn to_the_page(request: &Request<Incoming>) -> Response<Body> {
    let mut response = Response::new(body::whole(""));
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // Relative, as a proxy may serve it below another path.
    let last = request.uri().path().rsplit('/').next().unwrap_or_default();
    if let Ok(location) = HeaderValue::from_str(&format!("./{last}/")) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Whether a path is one of the API's, which a page has none of: as in the Go program, all that begins like it.
fn is_of_api(path: &str) -> bool {
    path.starts_with("/api")
}

fn part_of_page(part: Part, request: &Request<Incoming>) -> Response<Body> {
    let Part { policy, cache_control, vary, tag, content_type, encoding, body } = part;
    let mut response = Response::new(body::whole(""));
    let fields = response.headers_mut();
    fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(cache_control));
    fields.insert(VARY, HeaderValue::from_static(vary));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        fields.insert(ETAG, tag);
    }
    if is_known(request.headers(), &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(name) = encoding.name() {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if request.method() != Method::HEAD {
        *response.body_mut() = body::whole(body);
    }
    response
}

fn plain(content: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(body::whole(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refusal(problem: &Problem) -> Response<Body> {
    let mut response = Response::new(body::whole(problem.body()));
    *response.status_mut() = problem.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *problem == Problem::METHOD {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if *problem == Problem::BODY {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&problem.status) {
        let seconds = if *problem == Problem::LOGINS { NEXT_TRY.as_secs() } else { 1 };
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if *problem == Problem::PEER {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
