/** @file Applies the diffs of a page to the files that they name, so that a walk through a change can be compiled. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './fences.ts';

/** A text, or the bytes of a file that is copied. */
export type Content = string | Uint8Array;

/**
 * Files after the ` ```diff ` fences of a page, by path from the root of the repository. A fence is written as git
 * writes one, but `@@ NAME` stands for line numbers: what follows begins at the first line that has the name, and leaves
 * out as much as it likes between its lines. `--- FROM` with `+++ TO` copies a file, such as a fixture.
 *
 * @throws Error for a file that is not there (or is, and should be new), and for a line that it does not have
 */
export function diffsOf(page: string): Map<string, Content> {
  return applyDiffs(readFileSync(join(root, page), 'utf8'));
}

/** A section of a page that changes files: its heading, the files as it leaves them, and the commands that check them. */
export interface Walk {
  readonly title: string;
  readonly files: ReadonlyMap<string, Content>;
  /** Arguments of `npx vitest run`, a string for each command. */
  readonly checks: readonly string[];
}

/** The sections of a page that have diffs, each applied by itself. Throws as {@link diffsOf} does. */
export function walksOf(page: string): Walk[] {
  const [, ...sections] = readFileSync(join(root, page), 'utf8').split(/^## /m);
  return sections.flatMap((text) => {
    const files = applyDiffs(text);
    const checks = [...text.matchAll(/`npx vitest run ([^`]+)`/g)].map(([, words]) => words!);
    return files.size === 0 ? [] : [{ title: text.slice(0, text.indexOf('\n')), files, checks }];
  });
}

function applyDiffs(text: string): Map<string, Content> {
  const changed = new Map<string, Content>();
  for (const [, diff] of text.matchAll(/^```diff\n([\s\S]*?)^```$/gm)) {
    for (const part of diff!.split(/^--- /m).slice(1)) {
      const [first, ...rest] = part.trimEnd().split('\n');
      const to = /^\+\+\+ (.*)/.exec(rest[0] ?? '')?.[1];
      const isNew = to !== undefined;
      const path = to ?? first!;
      if (existsSync(join(root, path)) === isNew) throw new Error(`${path} ${isNew ? 'is there' : 'is not there'}.`);
      if (isNew && first !== '/dev/null') {
        changed.set(path, readFileSync(join(root, first!)));
        continue;
      }
      const before = isNew ? '' : (changed.get(path) ?? readFileSync(join(root, path), 'utf8'));
      changed.set(path, applied(path, String(before).split('\n'), isNew ? rest.slice(1) : rest).join('\n'));
    }
  }
  return changed;
}

function applied(path: string, lines: readonly string[], diff: readonly string[]): string[] {
  const made = [...lines];
  let at = 0;
  const find = (what: string, has: (line: string) => boolean): number => {
    const found = made.findIndex((line, i) => i >= at && has(line));
    if (found === -1) throw new Error(`${path} has no line "${what}"${at === 0 ? '' : ` below line ${at}`}.`);
    return found;
  };
  for (const line of diff) {
    const [mark, code] = [line[0], line.slice(1)];
    if (line.startsWith('@@ ')) {
      at = 0;
      at = find(line, (each) => new RegExp(`\\b${line.slice(3)}\\b`).test(each));
    } else if (mark === '+') made.splice(at++, 0, code);
    else {
      at = find(code, (each) => each === code);
      if (mark === '-') made.splice(at, 1);
      else at++;
    }
  }
  return made;
}
