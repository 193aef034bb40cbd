/** @file A part of a program's life, such as a call or a request: the services that it makes, released when it ends. */

import { Container, type ServiceIdentifier } from 'inversify';

/** Typed name of a service. */
export type Key<T> = ServiceIdentifier<T>;

/** Keys of what a service is made from, in the order of its arguments. */
export type Keys<Needed extends readonly unknown[]> = { readonly [Index in keyof Needed]: Key<Needed[Index]> };

/**
 * Registers a service: made once in its scope, when it is first needed. A later module of the same scope replaces it.
 *
 * @param make what makes it, handed what is behind `needs`; a plain constructor needs no more than `(a, b) => new Service(a, b)`
 * @param release what frees it when the scope ends; by default its `Symbol.asyncDispose`, if it has one
 */
export type Provide = <T, Needed extends readonly unknown[] = []>(
  key: Key<T>,
  make: (...needed: Needed) => T | Promise<T>,
  needs?: Keys<Needed>,
  release?: (service: Awaited<T>) => unknown,
) => void;

/** Services that belong together. */
export type ServiceModule = (provide: Provide) => void;

/**
 * A key of a name. Keys of one name are the same key.
 *
 * @example
 * export const CLOCK = key<Clock>('clock');
 */
export function key<T>(name: string): Key<T> {
  return Symbol.for(`onnx-lora/${name}`);
}

/**
 * Services of one part of a program's life. It sees those of the scope around it; what it makes itself is released when it ends,
 * the last first.
 */
export class Scope implements AsyncDisposable {
  readonly #container = new Container({ defaultScope: 'Singleton' });
  readonly #around: Scope | undefined;
  readonly #needed = new Set<Key<unknown>>();
  readonly #releases: (() => unknown)[] = [];

  /** A scope of these modules. Of two that provide the same, the later one counts. */
  constructor(modules: readonly ServiceModule[], around?: Scope) {
    this.#around = around;
    for (const module of modules) module(this.#provide);
    if (!around) return;
    // Not as Inversify's parent: that would make its services of this scope's, and keep them.
    for (const needed of this.#needed) {
      if (!this.#container.isBound(needed))
        this.#container.bind(needed).toDynamicValue(() => around.get(needed)).inTransientScope(); // prettier-ignore
    }
  }

  /** A scope inside this one. */
  open(...modules: readonly ServiceModule[]): Scope {
    return new Scope(modules, this);
  }

  /**
   * A service, made now if it is not there yet.
   *
   * @throws Error of Inversify where nobody provides it, or services need each other in a circle; whatever making it throws
   */
  get<T>(service: Key<T>): Promise<T> {
    const isOwn = this.#container.isBound(service) || !this.#around;
    return isOwn ? this.#container.getAsync(service) : this.#around.get(service);
  }

  /** Releases what this scope has made, the last first. One that fails does not keep the others: the first error is thrown. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }

  readonly #provide: Provide = (service, make, needs, release = disposed) => {
    if (this.#container.isBound(service)) this.#container.unbind(service);
    for (const needed of needs ?? []) this.#needed.add(needed);
    const made = async (...needed: unknown[]): Promise<unknown> => {
      const result = await make(...(needed as never));
      this.#releases.push(() => release(result as never));
      return result;
    };
    this.#container.bind<unknown>(service).toResolvedValue(made, [...(needs ?? [])] as never);
  };
}

function disposed(service: unknown): unknown {
  return (service as Partial<AsyncDisposable> | undefined)?.[Symbol.asyncDispose]?.();
}
