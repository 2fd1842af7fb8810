//! What a batch of worlds must have shown at least once: a run that never reaches ready proves nothing.

macro_rules! sights {
    ($($name:ident $text:literal)*) => {
        /// Something worth having seen.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Sight {
            $(#[doc = $text] $name,)*
        }

        impl Sight {
            pub(crate) const ALL: &[Sight] = &[$(Sight::$name),*];

            pub(crate) const fn text(self) -> &'static str {
                match self { $(Sight::$name => $text),* }
            }
        }
    };
}

sights! {
    Ready "ready reached"
    Resumed "session resumed"
    ResumeFailed "resume failed"
    Degraded "ready, but degraded"
    Fenced "a former owner closed with 4013"
    FencedLate "a former owner learned of it by its next send"
    Takeover "a resume while the old connection still lived"
    Acknowledged "a send acknowledged"
    Refused "a send refused by the server"
    Reoffered "a refused send offered anew"
    Unknown "an unknown outcome"
    SessionLost "a send unknown since its session was lost"
    ThreeConnections "a send unknown after three connections"
    GivenUp "a written send given up"
    Withdrawn "a waiting send withdrawn"
    Expired "a send expired"
    NotReady "a send that would not wait"
    QueueFull "a full queue"
    TooLarge "a send over the limit"
    SubjectChanged "a send refused since the token belongs to somebody else"
    WindowFull "sends that wait for the window"
    InboxWindowFull "an inbox that waits for the client"
    InboxFull "a producer that waits for the inbox"
    TakenAgain "a send that came twice, and was answered again"
    KeyRecognised "a key recognised in another session"
    AnswerBeforeAck "an answer that overtook the ack"
    AnswerEnded "an answer to its end"
    AnswerLost "an answer ended by the loss of its session"
    CancelledInTime "an answer stopped before its end"
    WorkOutlived "an answer that went on while its connection was gone"
    NoteDelivered "a message that answers nothing"
    NoProgress "no decision for too long"
    ServerSilent "a silent server given up"
    ClientSilent "a silent client given up"
    NotReadyInTime "a server not ready in time"
    HelloTimeout "a hello that came too late"
    ServiceFailed "a service that did not start"
    TokenRefused "a token refused"
    Drained "a server that went away in order"
    HandedOver "a connection left for the next, which is ready"
    HandedOverInFlight "the same with sends in flight"
    OldEndedFirst "a connection that ended before the next was ready"
    NextFailed "a next connection that failed while the old one went on"
    Overloaded "a connection refused for a while"
    LateUpgrade "an upgrade that came too late"
    RepeatedUpgrade "an upgrade that came twice"
    OldNumber "news of a connection that was already forgotten"
    StoppedEarly "an end that the application did not ask for"
    ClosedUndecided "a close while sends were undecided"
    Published "a publication that came"
    TopicRecovered "a topic that went on behind what was held"
    TopicGap "a topic of which something was missing"
    TopicLast "a subscription that began with the latest"
    Paged "a page of what a topic has had"
    PagedBackwards "a page below another"
    PageTimeout "a page that did not come in time"
    TopicWindowFull "a topic that waits for the client"
    StreamEnded "a stream that was read to its end"
    StreamOver "a part of a stream that was over"
    StreamBroken "a stream that lacks a part"
    StreamMoved "a stream that went on over a resume"
    StreamGivenUp "a stream whose opening send was given up when it was written"
    QuestionAnswered "a question that was answered"
    QuestionUnhandled "a question that nothing answers"
    QuestionTooLarge "a question whose answer is too large"
    QuestionUnsupported "a question to a client that answers none"
    QuestionGivenUp "a question that nobody waits for any more"
    QuestionLost "a question of a session that ended"
    QuestionWithdrawn "a question that was withdrawn"
    WithdrawnAtResume "a question that was withdrawn while its connection was gone"
    QuestionAnsweredLate "an answer that nobody waits for"
    QuestionAnswerMoved "an answer that was written on two connections"
    Reloaded "a page that was loaded anew"
    QuestionLeft "a question that a page left open"
    Refreshed "a token refreshed on a living connection"
    RefreshRefused "a fresh token refused"
    TokenOver "a connection whose token ended"
}

/// How often each sight was seen.
#[derive(Clone, Debug)]
pub(crate) struct Coverage {
    counts: Vec<u64>,
    pub(crate) steps: u64,
    pub(crate) sends: u64,
    pub(crate) connections: u64,
}

impl Coverage {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; Sight::ALL.len()], steps: 0, sends: 0, connections: 0 }
    }

    pub(crate) fn saw(&mut self, sight: Sight) {
        self.counts[sight as usize] += 1;
    }

    /// Adds a world.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += u64::from(*more > 0);
        }
        self.steps += other.steps;
        self.sends += other.sends;
        self.connections += other.connections;
    }

    /// Joins what two batches have seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.steps += other.steps;
        self.sends += other.sends;
        self.connections += other.connections;
    }

    /// Each sight, with the number of worlds that showed it.
    pub(crate) fn sights(&self) -> impl Iterator<Item = (Sight, u64)> {
        Sight::ALL.iter().copied().zip(self.counts.iter().copied())
    }
}
