/** @file The anchor of a heading. */

/** As GitHub spells it, so that a link works there, too; but with hyphens for underscores: `#target-not-found`. */
export function slugify(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(/[ _]/g, '-');
}
