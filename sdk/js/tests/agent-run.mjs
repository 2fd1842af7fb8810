/** The events by which the server answers an agent's run over a prompt of so many words, in order. */
export function agentRun(words) {
  return ["agent_started", ...words.map(() => "agent_thinking"), "tool_executing", "tool_completed", "agent_completed"];
}
