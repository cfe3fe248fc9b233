// Jobs of which only the latest counts.

/**
 * Starts jobs; each start calls off the one before.
 * @param {object} backend
 * @returns {{run: (kind: string, request: object, options: object, onEvent?: Function) => Promise<object|null>, cancel: () => boolean, busy: () => boolean}}
 *   run: null where it was called off here; errors are thrown
 */
export function latest(backend) {
  let current = null;
  const cancel = () => {
    const was = current;
    current = null;
    was?.cancel();
    return was !== null;
  };
  const run = async (kind, request, options = {}, onEvent = () => {}) => {
    cancel();
    const job = backend.start(kind, request, options, (name, data) => current === job && onEvent(name, data));
    current = job;
    try {
      const result = await job.done;
      if (current !== job) {
        backend.release?.(result);
        return null;
      }
      return result;
    } catch (error) {
      if (current !== job) return null;
      // Nobody here did: the server ends, or somebody else has called it off.
      throw error.name === "AbortError" ? new Error("cancelled by the server") : error;
    } finally {
      if (current === job) current = null;
    }
  };
  return { run, cancel, busy: () => current !== null };
}

/** A result that is shown; what was shown before is released. */
export function keeper(backend) {
  let kept = null;
  return {
    keep: (result) => {
      if (kept && kept !== result) backend.release?.(kept);
      return (kept = result);
    },
    get: () => kept,
  };
}
