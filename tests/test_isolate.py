"Decoders that crash, hang, eat memory, lie or exit: each costs its file, and no process is left behind"
import ctypes, os, signal, subprocess, sys, threading, time
from pathlib import Path
import numpy as np, pytest
from audiossl.isolate import Decoded, Decoders, Fault

def decode(path, sr, offset, duration):
    "Does what the name of the file says"
    name = Path(path).stem
    if name=='segfault': ctypes.string_at(0)
    if name=='abort': os.abort()
    if name=='exit': os._exit(3)
    if name=='killed': os.kill(os.getpid(), signal.SIGKILL)
    if name=='sleep': time.sleep(1_000)
    if name=='spin':
        while True: pass
    if name=='deaf':
        for s in (signal.SIGTERM, signal.SIGINT, signal.SIGXCPU): signal.signal(s, signal.SIG_IGN)
        while True: time.sleep(.1)
    if name=='eat': return [bytearray(10**8) for _ in range(10**4)]
    if name=='eat_in_c': return np.ones(10**10)
    if name=='recurse': return decode(path, sr, offset, duration)
    if name=='wrong': return np.zeros(3, np.float32)
    if name=='raise': raise KeyError('a fault\nof two lines')
    if name=='garbage': os.write(3, b'\xff'*100)
    if name=='lie': os.write(3, (20).to_bytes(4, 'big')+b'{"n": 1000000000000}'); time.sleep(1_000)
    print('decoders print', file=sys.stdout, flush=True); print('and complain', file=sys.stderr, flush=True)
    if name=='slow': time.sleep(.3)
    return np.full(int(name) if name.isdigit() else 4, offset, np.int16)

def jobs(folder, *names):
    for n in names: (folder/n).write_bytes(os.fsencode(n))
    return [(folder/n, 16_000, 7., None) for n in names]

def gone(pid):
    for _ in range(100):
        try:
            if Path(f'/proc/{pid}/stat').read_text().split(') ')[1][0]=='Z': return True
        except FileNotFoundError: return True
        time.sleep(.05)
    return False

def test_crash_hang_and_memory(tmp_path, capsys):
    "T3, and some more ways"
    bad = dict(segfault='crash', sleep='hang', eat='memory', abort='crash', exit='crash', killed='memory', spin='hang', deaf='hang', eat_in_c='memory',
               recurse='error', wrong='error', garbage='crash', lie='crash')
    bad['raise'] = 'error'
    names = [n for b in bad for n in (b, '3')]
    with Decoders(2, seconds=3, megabytes=300, decode=decode) as d:
        got = list(d.imap(jobs(tmp_path, *names)))
        pids = [c.p.pid for c in d.children]
    assert [j[0].name for j,_ in got]==names
    for (j,*_),o in got:
        if j.name=='3': assert isinstance(o, Decoded) and o.wave.tolist()==[7,7,7] and o.wave.dtype==np.int16
        else: assert o.reason==bad[j.name] and o.message.startswith(f'{j}: ') and '\n' not in o.message and len(o.message)<len(str(j))+150, (j, o)
    assert pids and all(map(gone, pids))
    with capsys.disabled(): print(f'\nbad decoders: {len(bad)} of {len(bad)} reported, {len(bad)} of {len(bad)} files after them decoded')

def test_order_and_read_ahead(tmp_path):
    "Results in the order of the jobs, which are taken when they are needed"
    taken = []
    def ask():
        for k,job in enumerate(jobs(tmp_path, *['slow' if i%5==0 else str(i) for i in range(1, 120)])): taken.append(k); yield job
    with Decoders(3, decode=decode) as d:
        for k,(job,o) in enumerate(d.imap(ask())):
            assert job[0].name==('slow' if (k+1)%5==0 else str(k+1)) and len(o.wave)==(4 if (k+1)%5==0 else k+1)
            assert len(taken)<=k+1+3*16
        assert k==118
        taken.clear()
        def heavy():
            for k,job in enumerate(jobs(tmp_path, *map(str, range(1, 40)))): os.truncate(job[0], 2**22); taken.append(k); yield job
        for k,_ in enumerate(d.imap(heavy())): assert len(taken)<=k+1+3*3                       # files of 4 MB: three ahead for each child

def test_handles_and_children_do_not_grow(tmp_path):
    def handles(): return len(os.listdir('/proc/self/fd')),threading.active_count()
    with Decoders(2, decode=decode) as d: list(d.imap(jobs(tmp_path, '1')))
    before = handles()
    with Decoders(2, decode=decode) as d:
        got = list(d.imap(jobs(tmp_path, *['segfault']*12)))
        assert len(d.children)<=2
    assert [o.reason for _,o in got]==['crash']*12 and handles()==before

SCRIPT = '''
import signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)         # a shell's background jobs begin with it ignored
from audiossl.isolate import Decoders
import test_isolate as t
with Decoders(3, decode=t.decode) as d:
    it = d.imap(t.jobs(Path(sys.argv[1]), '1', *['sleep']*5))
    next(it)
    while len(d.children)<3: time.sleep(.01)
    print(*(c.p.pid for c in d.children), flush=True)
    for _ in it: pass
'''
@pytest.mark.parametrize('how', [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path, how):
    "Ctrl-C, and kills of the parent, while all children are at work"
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    p = subprocess.Popen([sys.executable, '-c', SCRIPT, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    pids = [int(o) for o in p.stdout.readline().split()]
    assert len(pids)==3 and not any(Path(f'/proc/{o}/stat').read_text().split(') ')[1][0]=='Z' for o in pids)
    time.sleep(.2)
    p.send_signal(how)
    _,err = p.communicate(timeout=20)
    assert all(map(gone, pids))
    assert p.returncode!=0 and (how!=signal.SIGINT or 'KeyboardInterrupt' in err)

def test_an_error_in_the_loop_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with Decoders(2, decode=decode) as d:
            for _ in d.imap(jobs(tmp_path, '1', 'sleep', 'sleep')):
                pids = [c.p.pid for c in d.children]; 1/0
    assert all(map(gone, pids))
    with pytest.raises(RuntimeError, match='with'): next(d.imap([]))
    with pytest.raises(RuntimeError, match='with'): next(Decoders().imap([]))

def test_what_is_wrong_with_the_call_is_said_at_once(tmp_path):
    for bad in (dict(n=0), dict(seconds=-1), dict(megabytes=0), dict(max_seconds=0)):
        with pytest.raises(ValueError, match='must be above 0'): Decoders(**bad)
    with pytest.raises(ValueError, match='top of a module'): Decoders(decode=lambda *_: 0)
    def here(*_): return 0
    here.__qualname__ = 'not_there'
    with Decoders(decode=here) as d:
        with pytest.raises(RuntimeError, match="does not start: AttributeError.*not_there"): list(d.imap(jobs(tmp_path, '1')))
    with Decoders(decode=decode) as d:
        with pytest.raises(TypeError): list(d.imap([(3, 16_000, 0., None)]))

def test_names_of_all_kinds(tmp_path):
    names = ['a b.1', 'ü', 'x\ny', "q'\"$(ls)", os.fsdecode(b'\xff\xfe'), '-n', '雨'*60]
    with Decoders(decode=decode) as d: got = list(d.imap(jobs(tmp_path, *names)))
    assert [j[0].name for j,_ in got]==names and all(isinstance(o, Decoded) for _,o in got)

def test_the_packages_own_decoder(tmp_path):
    from audiossl.audio import EXTENSIONS, example, load_audio, save_audio, to_int16
    import torch
    from xxhash import xxh3_128_hexdigest
    wave,todo = load_audio(example('speech_it')),[]
    for ext in EXTENSIONS:
        save_audio(tmp_path/f'a{ext}', wave if ext!='.wav' else torch.stack([wave, -wave/2]), 16_000)
        todo += [(tmp_path/f'a{ext}', sr, offset, duration) for sr in (16_000, 8_000) for offset,duration in ((0., None), (.5, 1.25))]
    save_audio(tmp_path/'loud.wav', 3*wave, subtype='FLOAT')
    with Decoders(seconds=120) as d:
        for job,o in d.imap(todo):
            assert o.wave.tolist()==to_int16(load_audio(*job)).tolist(), job
            assert (o.frames, o.sr, o.source_hash, o.source_bytes, o.clipped)==(len(wave), 16_000, xxh3_128_hexdigest(job[0].read_bytes()), job[0].stat().st_size, 0)
        (_,o),(_,miss),(_,outside) = d.imap([(tmp_path/'loud.wav', 16_000, 0., None), (tmp_path/'no.wav', 16_000, 0., None), (tmp_path/'a.wav', 16_000, 9., None)])
    assert o.clipped==int((3*wave.abs()>1).sum())>0 and o.wave.max()==32_767
    assert (miss.reason, outside.reason)==('missing', 'range') and 'no such file' in miss.message

def test_memory_is_bounded_for_the_packages_own_decoder(tmp_path):
    import soundfile as sf
    sf.write(tmp_path/'long.flac', np.zeros(2*3600*16_000, np.int16), 16_000)          # two hours of silence are 460 MB of float32
    with Decoders(megabytes=400, seconds=120) as d: (_,o), = d.imap([(tmp_path/'long.flac', 16_000, 0., None)])
    assert o==Fault('memory', f'{tmp_path}/long.flac: it needs more memory than is allowed. Leave it out, or allow more.')
    with Decoders(max_seconds=3600) as d: (_,o),(_,part) = d.imap([(tmp_path/'long.flac', 16_000, t, n) for t,n in ((0.,None), (7_000.,1.))])
    assert o.reason=='long' and part.wave.shape==(16_000,)
