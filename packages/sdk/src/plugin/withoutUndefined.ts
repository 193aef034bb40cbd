/** @file Drops undefined properties. */

/** `T` without properties that are undefined; those that may be undefined are optional. */
export type WithoutUndefined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Copies an object without its undefined properties. */
export function withoutUndefined<T extends object>(object: T): WithoutUndefined<T> {
  const found: Partial<T> = {};
  for (const key of Object.keys(object) as (keyof T)[]) if (object[key] !== undefined) found[key] = object[key];
  return found as unknown as WithoutUndefined<T>;
}
