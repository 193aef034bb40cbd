/** @file Reads the fields of a preprocessor_config.json, which is a stranger's file. */

import { OnnxLoraError } from '@onnx-lora/sdk';

/** Fields of one parsed preprocessor_config.json, checked as they are asked for. */
export class FeatureConfig {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(fields: Readonly<Record<string, unknown>>, path: string) {
    this.#fields = fields;
    this.#path = path;
  }

  /** A whole number from `min` to `max`, or `fallback` where the file says nothing. */
  integer(name: string, fallback: number, min: number, max: number): number {
    const value = this.#field(name) ?? fallback;
    if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
    throw this.invalid(name, `a whole number from ${min} to ${max}`);
  }

  /** A number from `min` to `max`, or `fallback` where the file says nothing. */
  number(name: string, fallback: number, min: number, max: number): number {
    const value = this.#field(name) ?? fallback;
    if (typeof value === 'number' && value >= min && value <= max) return value;
    throw this.invalid(name, `a number from ${min} to ${max}`);
  }

  /** True or false, or `fallback` where the file says nothing. */
  flag(name: string, fallback: boolean): boolean {
    const value = this.#field(name) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.invalid(name, 'true or false');
  }

  /** Refuses any value but the one that is supported; an absent field is fine. */
  only(name: string, supported: unknown): void {
    if ((this.#field(name) ?? supported) !== supported) throw this.invalid(name, JSON.stringify(supported));
  }

  /** The error for a field that asks for something else than `expected`. */
  invalid(name: string, expected: string): OnnxLoraError {
    const got = (JSON.stringify(this.#field(name)) ?? 'nothing').slice(0, 80);
    return new OnnxLoraError(
      'CONFIG_INVALID',
      `"${this.#path}": ${name} is ${got}, but ${expected} is expected. Use the file that came with the model.`,
    );
  }

  #field(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }
}
