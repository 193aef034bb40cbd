/** @file Scopes of a program's services, such as a call or a request. A scope releases its services at its end. */

import { Container, type ServiceIdentifier } from 'inversify';

/** A typed key of a service. */
export type Key<T> = ServiceIdentifier<T>;

/** Keys of a service's dependencies, in the order of its arguments. */
export type Keys<Needed extends readonly unknown[]> = { readonly [Index in keyof Needed]: Key<Needed[Index]> };

/**
 * Registers a service, made once per scope on first use. A later module of the scope overrides it.
 * @param make makes the service from the resolved `needs`: `(a, b) => new Service(a, b)`
 * @param release releases the service when the scope ends; by default its `Symbol.asyncDispose`, if any
 */
export type Provide = <T, Needed extends readonly unknown[] = []>(
  key: Key<T>,
  make: (...needed: Needed) => T | Promise<T>,
  needs?: Keys<Needed>,
  release?: (service: Awaited<T>) => unknown,
) => void;

/** Related services. */
export type ServiceModule = (provide: Provide) => void;

/**
 * Makes a key. Keys of one name are equal.
 * @example
 * export const CLOCK = key<Clock>('clock');
 */
export function key<T>(name: string): Key<T> {
  return Symbol.for(`onnx-lora/${name}`);
}

/** A scope of services. It sees those of the enclosing scope, and on disposal releases its own, in reverse order. */
export class Scope implements AsyncDisposable {
  readonly #container = new Container({ defaultScope: 'Singleton' });
  readonly #around: Scope | undefined;
  readonly #needed = new Set<Key<unknown>>();
  readonly #releases: (() => unknown)[] = [];

  /** A scope of these modules; of two that provide a service, the later one wins. */
  constructor(modules: readonly ServiceModule[], around?: Scope) {
    this.#around = around;
    for (const module of modules) module(this.#provide);
    if (!around) return;
    // Not Inversify's parent, which would make its services from this scope's, and keep them.
    for (const needed of this.#needed) {
      if (!this.#container.isBound(needed))
        this.#container.bind(needed).toDynamicValue(() => around.get(needed)).inTransientScope(); // prettier-ignore
    }
  }

  /** Opens a nested scope. */
  open(...modules: readonly ServiceModule[]): Scope {
    return new Scope(modules, this);
  }

  /** Resolves a service, making it on first use. @throws Inversify's error, or whatever making the service throws */
  get<T>(service: Key<T>): Promise<T> {
    const isOwn = this.#container.isBound(service) || !this.#around;
    return isOwn ? this.#container.getAsync(service) : this.#around.get(service);
  }

  /** Releases this scope's services in reverse order, despite failures; the first error is thrown. */
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
