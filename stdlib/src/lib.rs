//! The step kinds that come with wf.
