import { describe, expect, it } from 'vitest';
import { parseUploadArguments, USAGE } from '../../../src/cli/upload/arguments.ts';

const parse = (...args: string[]) => parseUploadArguments(args);

describe('the arguments of npm run upload', () => {
  it('have defaults', () => {
    expect(parse('a')).toMatchObject({
      kind: 'upload',
      upload: {
        paths: ['a'],
        url: undefined,
        concurrency: 32,
        isDryRun: false,
        isJson: false,
        isCached: true,
      },
    });
  });

  it.each([[['--help']], [['-h']], [['--help', 'a', '--json']]])('%j asks for help', (args) => {
    expect(parse(...args)).toEqual({ kind: 'help' });
  });

  it.each([
    [[], 'at least one file'],
    [[''], 'empty'],
    [['--what', 'a'], "Unknown option '--what'"],
    [['-x'], "Unknown option '-x'"],
    [['--user'], "'--user <value>' argument missing"],
    [['--json=yes', 'a'], "'--json' does not take an argument"],
    [['a', '--url', 'nothing'], '--url nothing'],
    [['a', '--url', 'ftp://127.0.0.1'], '--url ftp'],
    [['-'], '--name'],
    [['a', '--name', 'b'], '--name is for standard input'],
    [['-', '--name', 'b', '--dry-run'], '--dry-run'],
    [['-', '--name', ''], '--name: filename must not be empty'],
    [['-', '--name', 'a/b'], '--name: filename must be a name, not a path'],
    [['a', '--quiet', '--json'], 'exclude each other'],
    [['a', '--concurrency', '0'], '1 to 256'],
    [['a', '--concurrency', '257'], '1 to 256'],
    [['a', '--concurrency', '1.5'], '1 to 256'],
    [['a', '--concurrency', ''], '1 to 256'],
    [['a', '--concurrency', 'x'], '1 to 256'],
  ])('%j are wrong', (args, problem) => {
    expect(parse(...args)).toEqual({ kind: 'wrong', problem: expect.stringContaining(problem) });
  });

  it('after -- are paths', () => {
    expect(parse('--json', '--', '-x', '--json')).toMatchObject({
      upload: { paths: ['-x', '--json'], isJson: true },
    });
  });

  it('are all explained in the usage, whose lines are at most 100 columns wide', () => {
    const text = USAGE.join('\n');
    for (const option of [
      'user',
      'url',
      'name',
      'concurrency',
      'dry-run',
      'json',
      'quiet',
      'no-cache',
      'help',
    ]) {
      expect(text).toMatch(new RegExp(`^  --${option}\\b`, 'm'));
      const { kind } = parse('-', '--name', 'a', `--${option}`, '1');
      expect(kind === 'wrong' ? parse('a', `--${option}`, '1') : { kind }).not.toMatchObject({
        problem: expect.stringContaining('Unknown option'),
      });
    }
    expect(USAGE.filter((line) => line.length > 100)).toEqual([]);
  });
});
