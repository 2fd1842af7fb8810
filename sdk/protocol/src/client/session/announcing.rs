//! Telling the application the state, once for each change.

use super::*;

impl Client {
    pub(super) fn announce(&mut self) {
        self.tend_streams();
        let state = self.state();
        let connection = self.current.connection.as_ref();
        let waiting = match self.current.phase {
            Phase::Waiting { until } => Some(until),
            _ => None,
        };
        let ended = self.ended_with.as_ref().filter(|_| connection.is_none());
        let change = StateChange {
            state,
            previous: state,
            pending: connection.map_or_else(Vec::new, |connection| connection.pending.clone()),
            impaired: connection.map_or_else(Vec::new, |connection| connection.impaired.clone()),
            reason: match (connection, ended) {
                (Some(connection), _) => connection.reason.clone(),
                (None, Some((_, reason))) => Some(reason.clone()),
                (None, None) => None,
            },
            connection: connection.and_then(|connection| connection.id.clone()),
            attempt: self.current.number,
            handover: self.handover_at.is_some() || self.next.is_some(),
            retry_at: waiting,
            code: ended.map(|(code, _)| *code),
        };
        announce(&mut self.announced, change, &mut self.events);
        self.carry();
    }
}

/// Tells `change`, unless nothing in it is new.
pub(in crate::client) fn announce(
    announced: &mut Option<StateChange>,
    mut change: StateChange,
    events: &mut Queue<ClientEvent>,
) {
    let before = announced.as_ref();
    // As it was told last, so that only what is new makes a difference.
    change.previous = before.map_or(change.state, |announced| announced.previous);
    if before != Some(&change) {
        change.previous = before.map_or(ClientState::Connecting, |announced| announced.state);
        *announced = Some(change.clone());
        events.push(ClientEvent::State(change));
    }
}
