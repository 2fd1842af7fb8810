//! First in, first out.

/// A queue of what is drained soon after. `VecDeque` does the same with several times the code for each type, and every
/// page has to load that.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Queue<T> {
    /// Empty places are what was taken out.
    items: Vec<Option<T>>,
    oldest: usize,
}

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self { items: Vec::new(), oldest: 0 }
    }

    pub(super) fn push(&mut self, item: T) {
        self.items.push(Some(item));
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let item = self.items.get_mut(self.oldest).and_then(Option::take);
        if item.is_some() {
            self.oldest += 1;
        } else {
            *self = Self::new();
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::Queue;

    #[test]
    fn what_came_first_goes_first_whenever_the_rest_came() {
        let mut queue = Queue::new();
        let mut popped = Vec::new();
        for round in 0..4 {
            queue.push(2 * round);
            queue.push(2 * round + 1);
            popped.extend(queue.pop());
        }
        popped.extend(std::iter::from_fn(|| queue.pop()));
        assert_eq!(popped, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(queue, Queue::new());
    }
}
