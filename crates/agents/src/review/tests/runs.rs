//! Guardrails in whole runs: what is asked, told, recorded, and handed back.
