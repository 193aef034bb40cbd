/**
 * @file Puts the code of files into a page, into the fences that name one: ` ```ts file=../examples/serve.ts#region `. What
 * stands behind `#` is a region of the file, or names of what it exports, `#Task,PreparedTask`, which are shown as they are declared.
 */

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import { declarationOf } from './declared.ts';
import { root } from './fences.ts';

/**
 * A page with the code as the files have it today, formatted.
 *
 * @param page the page's path from the root of the repository; paths of files begin at its folder
 * @throws Error for a file that is not there, and for a name that is neither a region of it nor in its declarations
 */
export async function withIncludedCode(page: string, text: string): Promise<string> {
  const filled = text.replaceAll(
    /^(```\w+ file=(\S+?)(?:#(\S+))?\n)(?:[\s\S]*?\n)??```$/gm,
    (_, head: string, file: string, names?: string) =>
      `${head}${codeOf(join(root, dirname(page), file), names)}\n\`\`\``,
  );
  return format(filled, { ...(await resolveConfig(join(root, page))), parser: 'markdown' });
}

function codeOf(file: string, names: string | undefined): string {
  const whole = readFileSync(file, 'utf8');
  if (names === undefined) return shown(whole);
  return names
    .split(',')
    .map((name) => shown(named(file, whole, name)))
    .join('\n\n');
}

function named(file: string, whole: string, name: string): string {
  const code = regionOf(whole, name) ?? (/\.[cm]?ts$/.test(file) ? declarationOf(file, whole, name) : undefined);
  if (code !== undefined) return code;
  throw new Error(
    `${file} has no region "${name}" that also ends by that name, and its declarations have no "${name}".`,
  );
}

/** Without marks of regions, and without the indent that all lines have. */
function shown(code: string): string {
  const lines = code
    .replaceAll(/^ *\/\/ #(?:end)?region .*\n/gm, '')
    .replace(/^\n+/, '')
    .trimEnd()
    .split('\n');
  const indent = Math.min(...lines.filter((line) => line !== '').map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(indent)).join('\n');
}

function regionOf(code: string, region: string): string | undefined {
  return new RegExp(`^ *// #region ${region}\\n([\\s\\S]*?)^ *// #endregion ${region}$`, 'm').exec(code)?.[1];
}
