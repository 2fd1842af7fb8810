// @ts-check
// The start of what a subject needs: shared by its connections, and it goes on when one of them goes.

/** @typedef {{ name: string, start: () => Promise<void> }} Service */

export class Startup {
  /** The services that are still starting. @type {Set<string>} */
  pending;
  /** The service that could not start. @type {string | undefined} */
  failed;

  #onOver;
  /** @type {Map<object, () => void>} */
  #watchers = new Map();

  /** @param {Service[]} services @param {(isUsed: boolean) => void} onOver told whether anybody has waited */
  constructor(services, onOver) {
    this.#onOver = onOver;
    this.pending = new Set(services.map((service) => service.name));
    for (const { name, start } of services) {
      start().then(
        () => this.#tell(() => this.pending.delete(name)),
        () => this.#tell(() => (this.failed ??= name)),
      );
    }
  }

  get isOver() {
    return this.failed !== undefined || this.pending.size === 0;
  }

  /** @param {object} watcher @param {() => void} onChange */
  watch(watcher, onChange) {
    this.#watchers.set(watcher, onChange);
  }

  /** @param {object} watcher */
  forget(watcher) {
    this.#watchers.delete(watcher);
  }

  /** @param {() => void} change */
  #tell(change) {
    if (this.isOver) return; // something has failed before
    change();
    if (this.isOver) this.#onOver(this.#watchers.size > 0 || this.failed !== undefined);
    for (const onChange of [...this.#watchers.values()]) onChange();
  }
}
