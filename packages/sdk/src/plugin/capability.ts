/** @file What a plugin can lend to others, such as a decoder of images: a typed key, and whatever is behind it. */

/** A thing that one plugin provides and any may need. Two keys of one name are the same thing. */
export interface Capability<T> {
  /** What it is called: `image-decoder`. */
  readonly name: string;
  /** The package that usually brings it, for the error where none does. */
  readonly usuallyFrom?: string;
  readonly isList: false;
  /** Holds the type; never there. */
  readonly type?: T;
}

/** Things of which plugins may provide any number, such as formats of sound files; whoever needs it gets all of them. */
export interface CapabilityList<T> {
  /** What it is called: `sound-format`. */
  readonly name: string;
  readonly isList: true;
  /** Holds the type; never there. */
  readonly type?: T;
}

/** Capabilities by the names under which they are handed over. */
export type Needs = Readonly<Record<string, Capability<unknown> | CapabilityList<unknown>>>;

/** What is behind the capabilities that were asked for, by the same names. */
export type Provided<N extends Needs> = {
  readonly [Name in keyof N]: N[Name] extends CapabilityList<infer T>
    ? readonly T[]
    : N[Name] extends Capability<infer T>
      ? T
      : never;
};

/** A capability, and how it is made. */
export interface Provision {
  /** What is provided. */
  readonly capability: Capability<unknown> | CapabilityList<unknown>;
  /** What making it takes. */
  readonly needs: Needs;
  /** Whether it stands back where another plugin provides the same. */
  readonly isDefault: boolean;
  /** Called once, when it is first needed. */
  readonly make: (needed: Readonly<Record<string, unknown>>) => unknown;
}

/**
 * A typed key.
 *
 * @param name such as `image-decoder`; what the same thing is called by all who need it
 * @param options.usuallyFrom the package that brings it
 *
 * @example
 * export const IMAGE_DECODER = capability<ImageDecoder>('image-decoder', { usuallyFrom: '@onnx-lora/vision' });
 */
export function capability<T>(name: string, options: { readonly usuallyFrom?: string } = {}): Capability<T> {
  return { name, isList: false, ...options };
}

/** A typed key of which there may be many, such as `capabilityList<AudioFormat>('audio-format')`. */
export function capabilityList<T>(name: string): CapabilityList<T> {
  return { name, isList: true };
}

/**
 * What is behind a capability. `needs` are other capabilities that it is made from; with `isDefault`, which is false by
 * default, it stands back where another plugin provides the same.
 *
 * @example
 * provide(AUDIO_READER, ({ formats }) => new AudioFileReader(formats), { needs: { formats: AUDIO_FORMAT }, isDefault: true })
 */
export function provide<T, N extends Needs = Record<never, never>>(
  key: Capability<T> | CapabilityList<T>,
  make: (needed: Provided<N>) => NoInfer<T>,
  { needs, isDefault = false }: { readonly needs?: N; readonly isDefault?: boolean } = {},
): Provision {
  return { capability: key, needs: needs ?? {}, isDefault, make: make as Provision['make'] };
}
