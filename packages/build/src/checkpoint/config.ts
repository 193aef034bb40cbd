/** @file Validated reader of `config.json`: each field is read, known to have no effect, or refused. */

import { OnnxLoraError } from '@onnx-lora/sdk';
import { ConfigFields, isObject, type JsonObject } from '@onnx-lora/sdk/data';
import { type Activation, activationNamed, activationNames } from '../layers/activations.ts';
import { hasNoEffect } from './withoutEffect.ts';

/** Bound on any single size; combinations of sizes have bounds of their own. */
const MOST = 2 ** 31;

/** Reads a config by its published names. Fields left unread at the end are refused unless they have no effect. */
export class Config {
  readonly #fields: ConfigFields;
  readonly #values: JsonObject;
  readonly #file: string;
  /** Path prefix of these fields: `text_config.`. */
  readonly #path: string;
  readonly #read = new Set<string>();
  /** Fields that graphs depend on. */
  readonly #taken = new Set<string>();
  readonly #inner = new Map<string, Config>();

  /** Wraps parsed JSON. @param file path for messages @param path prefix of field names */
  constructor(values: JsonObject, file: string, path = '') {
    this.#values = values;
    this.#file = file;
    this.#path = path;
    this.#fields = new ConfigFields(values, file);
  }

  /** Whether the field is present and not null. */
  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  /** The raw value; undefined for null too. */
  raw(name: string): unknown {
    this.#take(name);
    return this.#fields.raw(name);
  }

  /** Whether the field is an explicit null. */
  isNull(name: string): boolean {
    this.#take(name);
    return this.#values[name] === null;
  }

  /** A whole number of at least 1, such as a width. */
  size(name: string, absent?: number): number {
    return this.#or(name, this.#fields.integer(name, 1, MOST), absent);
  }

  /** A size that divides a width, such as a number of heads. */
  divisor(name: string, width: number, absent?: number): number {
    const value = this.size(name, absent);
    if (width % value === 0) return value;
    throw this.#fields.error(`"${this.#path}${name}" is ${value}, but must divide ${width}. Correct it, or copy the file again from where the model was published.`); // prettier-ignore
  }

  /** A whole number of at least `least`. */
  whole(name: string, absent?: number, least = 0): number {
    return this.#or(name, this.#fields.integer(name, least, MOST), absent);
  }

  /** A finite number. */
  number(name: string, absent?: number): number {
    return this.#or(name, this.#fields.number(name, -Number.MAX_VALUE, Number.MAX_VALUE), absent);
  }

  /** A boolean. */
  flag(name: string, absent?: boolean): boolean {
    return this.#or(name, this.#fields.boolean(name), absent);
  }

  /** One of some words. */
  word<T extends string>(name: string, words: readonly T[], absent?: T): T {
    const value = this.#or(name, this.#fields.string(name), absent);
    if (words.includes(value as T)) return value as T;
    throw this.unsupported(name, `Known are ${words.join(', ')}.`);
  }

  /** `[height, width]`, from a pair or a number for both. */
  pair(name: string, absent?: number): readonly [number, number] {
    const value = this.raw(name);
    if (!Array.isArray(value)) {
      const size = this.size(name, absent);
      return [size, size];
    }
    const [height, width, ...more] = this.sizes(name);
    if (height !== undefined && width !== undefined && more.length === 0) return [height, width];
    throw this.#fields.expected(name, 'a size or [height, width]');
  }

  /** A list of whole numbers of at least 1. */
  sizes(name: string, absent?: readonly number[]): readonly number[] {
    return this.numbers(name, absent, (each) => Number.isInteger(each) && each >= 1 && each <= MOST);
  }

  /** A list of booleans. */
  flags(name: string, absent?: readonly boolean[]): readonly boolean[] {
    const isList = (value: unknown): value is readonly boolean[] =>
      Array.isArray(value) && value.every((each) => typeof each === 'boolean');
    return this.#or(name, this.#fields.only(name, 'a list of true and false', isList), absent);
  }

  /** A list of numbers. */
  numbers(
    name: string,
    absent?: readonly number[],
    isOne: (each: number) => boolean = Number.isFinite,
  ): readonly number[] {
    const isList = (value: unknown): value is readonly number[] => Array.isArray(value) && value.every(isOne);
    return this.#or(name, this.#fields.only(name, 'a list of numbers', isList), absent);
  }

  /** An activation function by its published name. */
  activation(name: string, absent?: string): Activation {
    const value = this.#or(name, this.#fields.string(name), absent);
    const found = activationNamed(value);
    if (found) return found;
    throw this.unsupported(name, `Known are ${activationNames.join(', ')}.`);
  }

  /** Number of classes: of `id2label`, or `num_labels`; 2 by default. */
  labels(): number {
    const names = this.raw('id2label');
    const said = this.#or('num_labels', this.#fields.integer('num_labels', 1, MOST), 2);
    return isObject(names) ? Object.keys(names).length : said;
  }

  /** Refuses all other values; the first is the default for an absent field. Null is a value like others. */
  only(name: string, ...known: readonly unknown[]): void {
    this.#take(name);
    const value = Object.hasOwn(this.#values, name) ? this.#values[name] : known[0];
    if (known.includes(value) || (value === null && known[0] === undefined)) return;
    throw this.unsupported(name, `Only ${known.map((each) => JSON.stringify(each)).join(' or ')} can be built.`);
  }

  /** Marks fields that this graph does not depend on; reading one still counts. */
  skip(...names: readonly string[]): void {
    for (const name of names) this.#read.add(name);
  }

  /** A nested config, such as `vision_config`; empty if absent. */
  inner(name: string): Config {
    const known = this.#inner.get(name);
    if (known) return known;
    const values = this.raw(name) ?? {};
    if (!isObject(values)) throw this.#fields.expected(name, 'an object');
    const config = new Config(values, this.#file, `${this.#path}${name}.`);
    this.#inner.set(name, config);
    return config;
  }

  /** The same fields with some replaced. */
  with(values: JsonObject): Config {
    return new Config({ ...this.#values, ...values }, this.#file, this.#path);
  }

  /** The error for a value that cannot be built, to be thrown. */
  unsupported(name: string, remedy: string): OnnxLoraError {
    const value = (JSON.stringify(this.#values[name]) ?? 'nothing').slice(0, 80);
    return new OnnxLoraError(
      'MODEL_UNSUPPORTED',
      `"${this.#file}" asks for "${this.#path}${name}": ${value}, which no graph is built for. ${remedy} Otherwise export the model with torch.`,
    );
  }

  /** Paths of unread fields that may have an effect, nested configs included. */
  unread(): string[] {
    const own = this.#fields.names.filter((name) => !this.#read.has(name) && !hasNoEffect(name, this.#values[name]));
    const inside = [...this.#inner.values()].flatMap((each) => each.unread());
    return [...own.map((name) => `${this.#path}${name}`), ...inside];
  }

  #take(name: string): void {
    this.#read.add(name);
    this.#taken.add(name);
  }

  /** Values of the fields that graphs depend on, by path. */
  taken(): Record<string, unknown> {
    const own = Object.entries(this.#values).filter(([name, value]) => this.#taken.has(name) && !isObject(value));
    const inside = [...this.#inner.values()].map((each) => each.taken());
    return Object.assign(Object.fromEntries(own.map(([name, value]) => [`${this.#path}${name}`, value])), ...inside) as Record<string, unknown>; // prettier-ignore
  }

  /** A field's value for messages, by a path from {@link unread}. */
  shown(path: string): string {
    let value: unknown = this.#values;
    for (const name of path.split('.')) value = isObject(value) ? value[name] : undefined;
    return (JSON.stringify(value) ?? 'nothing').slice(0, 80);
  }

  #or<T>(name: string, value: T | undefined, absent: T | undefined): T {
    this.#take(name);
    const found = value ?? absent;
    if (found !== undefined) return found;
    throw this.#fields.error(
      `"${this.#path}${name}" is missing. Copy the file again from where the model was published.`,
    );
  }
}
