//! Questions on their way to the client, and what becomes of them meanwhile.

use super::Driver;

impl Driver {
    /// A question was delivered, unless it has to wait for room; nobody may wait for it any more.
    pub(super) async fn delivered_question(&mut self, offset: u64) {
        let answers = self.core.answers_questions();
        let Some(held) = &mut self.held else { return };
        match held.session.delivers_question(offset, answers).await {
            Ok(true) => {}
            Ok(false) => self.core.withdraw(offset),
            Err(error) => self.log_failed(&error),
        }
    }

    /// What the client of a resumed session may not have heard (clause `question.withdrawn`).
    pub(super) async fn resume_questions(&mut self, inbox: u64) {
        let answers = self.core.answers_questions();
        let Some(held) = &mut self.held else { return };
        match held.session.resume_questions(inbox, answers).await {
            Ok(withdrawn) => withdrawn.into_iter().for_each(|offset| self.core.withdraw(offset)),
            Err(error) => self.log_failed(&error),
        }
    }

    /// Something may have become of the questions: whoever asked has given up.
    pub(super) fn questions_moved(&mut self) {
        let Some(held) = &mut self.held else { return };
        held.session.withdrawn_questions().into_iter().for_each(|offset| self.core.withdraw(offset));
    }
}
