//! The word that a list answers with.

/// What a member's policy asks its pipeline to do. Ordered: stronger is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Only note it.
    Log,
    /// A person should look.
    Review,
    /// Do not let it through.
    Block,
}

impl Outcome {
    /// Every word, weakest first.
    pub const ALL: [Self; 3] = [Self::Log, Self::Review, Self::Block];

    /// The word in lists and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Review => "review",
            Self::Block => "block",
        }
    }

    /// The outcome with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}
