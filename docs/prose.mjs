/**
 * @file Finds sentences that hide their noun, in comments, string literals and pages: `npm run lint:prose [-- PATH…]`.
 * The rules are the part of "How we write" in CONTRIBUTING that a pattern can check.
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

const clause = 'begins with a clause in place of a noun';

/** Each pattern matches a sentence that should be rewritten. */
const rules = [
  [/^(?:What|Who|Whose|Whom)\b(?! (?:if|else|do|does|did)\b)[^?]*$/, clause],
  [/^Of (?!course\b)/, clause],
  [/^(?:From|To|By|With|For|In|As|Whether|How) (?:what|whom|whose)\b/, clause],
  [/^(?:Where|When) (?:what|that which|nothing|there is no)\b/, clause],
  [/\bof which\b/, '"of which"'],
  [/\bwhich (?:(?:has|have) (?:not|none)|(?:is|are) (?:no|none))\b/, '"which has not"'],
  [/\bwhat there is\b|\bthere is none\b/, '"what there is"'],
];

const listed = ['ls-files', '--cached', '--others', '--exclude-standard', '--', ...process.argv.slice(2)];
const files = execFileSync('git', listed, { encoding: 'utf8' })
  .split('\n')
  .filter((file) => /\.(?:ts|mjs|md)$/.test(file) && existsSync(file))
  .filter((file) => !/(?:^|\/)CHANGELOG\.md$|^\.changeset\/|^docs\/reference\/api\/|^docs\/prose\.mjs$/.test(file));

let count = 0;
for (const file of files) {
  const source = readFileSync(file, 'utf8');
  for (const { line, text } of file.endsWith('.md') ? paragraphs(source) : [...comments(source), ...strings(source)]) {
    for (const sentence of text.split(/(?<=[.:;!?]) +/)) {
      const rule = rules.find(([pattern]) => pattern.test(sentence));
      if (!rule) continue;
      count++;
      console.log(`${file}:${line}: ${rule[1]}: ${sentence.slice(0, 120)}`);
    }
  }
}
console.log(count === 0 ? 'Every sentence passes.' : `${count} sentences. See "How we write" in CONTRIBUTING.md.`);
process.exitCode = count === 0 ? 0 : 1;

/** Block comments and runs of line comments, without their marks. */
function comments(source) {
  return [...source.matchAll(/\/\*[\s\S]*?\*\/|(?:^[ \t]*\/\/.*\n?)+/gm)].map(({ 0: comment, index }) => {
    const words = comment
      .replaceAll(/^[ \t]*(?:\/\*\*?|\*\/|\*|\/\/) ?|\*\/$/gm, '')
      .replaceAll(/@file |@(?:param|throws) \S+ |@returns? /g, '. ');
    return { line: lineOf(source, index), text: plain(words) };
  });
}

/** String literals of four words or more. Names of tests are not prose. */
function strings(source) {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|^[ \t]*\/\/.*$|\b(?:test|describe|it)[.\w]*\($/gm, (text) =>
    text.replaceAll(/[^\n]/g, ' '),
  );
  return [...code.matchAll(/(?<!\b(?:test|describe|it)[.\w]*\()(?:'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\]|\\.)*)`)/g)]
    .map(({ 1: quoted, 2: template, index }) => ({ line: lineOf(code, index), text: plain(quoted ?? template ?? '') }))
    .filter(({ text }) => text.split(' ').length >= 4);
}

/** Lines outside of fences and tables, without their marks. */
function paragraphs(source) {
  return source
    .replaceAll(/^( *)```[\s\S]*?^\1```/gm, (fence) => fence.replaceAll(/[^\n]/g, ''))
    .split('\n')
    .map((text, index) => ({
      line: index + 1,
      text: plain(text.replace(/^(?:[-*>#]+|\d+\.) /, '').replace(/^\|.*/, '')),
    }));
}

function lineOf(source, index) {
  return source.slice(0, index).split('\n').length;
}

function plain(text) {
  return text
    .replaceAll(/`[^`]*`/g, 'x')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/\*\*|_/g, '')
    .trim();
}
