"""Each stand-in against what its dataset really looks like: lines recorded from the published tables (the source beside each)
and the lines a stand-in writes must have one form"""
import csv, hashlib, io, json, re
import pytest
from audiossl.audio import audio_info, data_path, find_audio
from audiossl.standins import standin_names, tree, write_standin

TABLES = { # dataset -> table in the stand-in, header lines as published, rows as published, form of a row
    # robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt, as documented by torchaudio.datasets.VoxCeleb1Identification
    'voxceleb1': [('iden_split.txt', [], ['1 id10006/nLEBBc9oIFs/00003.wav'], r'[123] id1\d{4}/[\w-]{11}/\d{5}\.wav')],
    # UrbanSound8K/metadata/UrbanSound8K.csv
    'us8k': [('metadata/UrbanSound8K.csv', ['slice_file_name,fsID,start,end,salience,fold,classID,class'],
              ['100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark', '100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn'],
              r'(\d+)-(\d)-\d+-\d+\.wav,\1,\d+\.\d+,\d+\.\d+,[12],\d+,\2,[a-z_]+')],
    # speech_commands_v0.02/testing_list.txt
    'spcv2': [(f'{n}_list.txt', [], ['eight/01b4757a_nohash_0.wav'], r'[a-z]+/[0-9a-f]{8}_nohash_\d\.wav') for n in ('validation','testing')],
    # research.google.com/audioset/download.html
    'audioset': [('csv/balanced_train_segments.csv',
                  ['# Segments csv created Sun Mar  5 10:54:31 2017', r'# num_ytids=\d+, num_segs=\d+, num_unique_labels=\d+, num_positive_labels=\d+',
                   '# YTID, start_seconds, end_seconds, positive_labels'],
                  ['--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"', '--ZhevVpy1s, 50.000, 60.000, "/m/012xff"', '-0RWZT-miFs, 420.000, 430.000, "/m/03v3yw,/m/0k4j"'],
                  r'[\w-]{11}, \d+\.000, \d+\.000, "/[mtg]/\w+(,/[mtg]/\w+)*"'),
                 ('csv/class_labels_indices.csv', ['index,mid,display_name'],
                  ['0,/m/09x0r,"Speech"', '1,/m/05zppz,"Male speech, man speaking"', '338,/m/02l6bg,"Propeller, airscrew"'], r'\d+,/[mtg]/\w+,"[^"]+"')],
    # FSD50K.ground_truth of zenodo.org/record/4060432
    'fsd50k': [('FSD50K.ground_truth/dev.csv', ['fname,labels,mids,split'],
                ['64760,"Electric_guitar,Guitar,Plucked_string_instrument,Musical_instrument,Music","/m/02sgy,/m/0342h,/m/0fx80y,/m/04szw,/m/04rlf",train',
                 '345111,"Electric_guitar,Guitar,Plucked_string_instrument,Musical_instrument,Music","/m/02sgy,/m/0342h,/m/0fx80y,/m/04szw,/m/04rlf",val'],
                r'\d+,"[\w(),-]+","[\w/,]+",(train|val)'),
               ('FSD50K.ground_truth/eval.csv', ['fname,labels,mids'],
                ['37199,"Electric_guitar,Guitar,Plucked_string_instrument,Musical_instrument,Music","/m/02sgy,/m/0342h,/m/0fx80y,/m/04szw,/m/04rlf"'], r'\d+,"[\w(),-]+","[\w/,]+"'),
               ('FSD50K.ground_truth/vocabulary.csv', [], ['53,Crushing,/m/07plct2', '69,Electric_guitar,/m/02sgy'], r'\d+,[\w()-]+,/[mt]/\w+')],
    # openslr.org/12
    'librispeech': [('LibriSpeech/train-clean-100/103/1240/103-1240.trans.txt', [], ['103-1240-0000 CHAPTER ONE MISSUS RACHEL LYNDE IS SURPRISED'], r"\d+-\d+-\d{4} [A-Z' ]+")],
    # metadata/ of github.com/turpaultn/DESED; a clip without an event has three empty fields
    'desed': [('metadata/validation/validation.tsv', ['filename\tonset\toffset\tevent_label'],
               ['Y-0CamVQdP_Y_0.000_6.000.wav\t0.0\t6.0\tSpeech', 'Y-0CamVQdP_Y_0.000_6.000.wav\t\t\t'],
               r'Y[\w-]{11}_\d+\.000_\d+\.000\.wav\t(\d+\.\d+\t\d+\.\d+\t[A-Z]\w+|\t\t)'),
              ('metadata/train/weak.tsv', ['filename\tevent_labels'], ['Y-0CamVQdP_Y_0.000_6.000.wav\tDog,Speech'], r'Y[\w-]{11}_\d+\.000_\d+\.000\.wav\t\w+(,\w+)*'),
              ('metadata/validation/validation_durations.tsv', ['filename\tduration'], ['Y-0CamVQdP_Y_0.000_6.000.wav\t6.0'], r'Y[\w-]{11}_\d+\.000_\d+\.000\.wav\t\d+\.\d+'),
              ('metadata/train/synthetic21_train/soundscapes.tsv', ['filename\tonset\toffset\tevent_label'], ['0.wav\t0.0\t1.5\tDog'], r'\d+\.wav\t\d+\.\d+\t\d+\.\d+\t\w+')],
    # research.google.com/audioset/download_strong.html
    'as_strong': [(f'meta/source/audioset_{n}_strong.tsv', ['segment_id\tstart_time_seconds\tend_time_seconds\tlabel'], ['YxlGt805lTA_30000\t2.627\t7.237\t/m/053hz1'],
                   r'[\w-]{11}_\d+\t\d+\.\d+\t\d+\.\d+\t/[mtg]/\w+') for n in ('train','eval')],
    # Session1/dialog/EmoEvaluation/Ses01F_impro01.txt
    'iemocap': [('Session1/dialog/EmoEvaluation/Ses01F_impro01.txt', [re.escape('% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]'), ''],
                 ['[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.5000, 2.5000]', 'C-E2:\tNeutral;\t()', 'C-F1:\tNeutral;\t(curious)', 'A-E3:\tval 3; act 2; dom  2;\t()', ''],
                 r'\[\d+\.\d{4} - \d+\.\d{4}\]\tSes\d\d[FM]_\w+_[FM]\d{3}\t[a-z]{3}\t\[\d\.\d{4}, \d\.\d{4}, \d\.\d{4}\]|C-\w\d:\t\w+;\t\(\w*\)|A-E\d:\tval \d; act \d; dom  \d;\t\(\)|')]}
# examples.json of nsynth-train, magenta.tensorflow.org/datasets/nsynth#files
NOTE = json.loads('''{"bass_synthetic_033-022-050": {"note": 201034, "sample_rate": 16000, "instrument_family": 0, "qualities": [0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
    "instrument_source_str": "synthetic", "note_str": "bass_synthetic_033-022-050", "instrument_family_str": "bass", "instrument_str": "bass_synthetic_033",
    "pitch": 22, "instrument": 417, "velocity": 50, "instrument_source": 2, "qualities_str": ["dark"]}}''')
FORMS = dict(voxceleb1={('WAV',16000,1)}, nsynth={('WAV',16000,1)}, spcv2={('WAV',16000,1)}, iemocap={('WAV',16000,1)}, librispeech={('FLAC',16000,1)},
             fsd50k={('WAV',44100,1)}, desed={('WAV',44100,1)}, us8k={('WAV',44100,2), ('WAV',48000,2), ('WAV',96000,2), ('WAV',44100,1), ('WAV',22050,1)})
FOLDERS = dict(voxceleb1=['dev/wav/id10001', 'test/wav/id10270'], us8k=[f'audio/fold{k}' for k in range(1, 11)], nsynth=[f'nsynth-{s}/audio' for s in ('train','valid','test')],
    spcv2=['_background_noise_','yes','zero','marvin'], iemocap=[f'Session{k}/sentences/wav/Ses0{k}F_impro01' for k in range(1, 6)],
    audioset=[f'audio/{n}' for n in ('balanced_train_segments','unbalanced_train_segments','eval_segments')], audioset_b=['audio/balanced_train_segments','audio/eval_segments'],
    fsd50k=['FSD50K.dev_audio','FSD50K.eval_audio'], librispeech=[f'LibriSpeech/{p}' for p in ('train-clean-100','train-clean-360','train-other-500','dev-clean','dev-other','test-clean','test-other')],
    desed=['audio/train/synthetic21_train/soundscapes','audio/train/weak','audio/train/unlabel_in_domain','audio/validation/synthetic21_validation/soundscapes','audio/validation/validation'],
    as_strong=['data/train','data/eval'])

@pytest.fixture(scope='module')
def made(tmp_path_factory):
    top,have = tmp_path_factory.mktemp('standins'),{}
    def get(name):
        if name not in have: have[name] = write_standin(name, top/name)
        return have[name]
    return get

def lines(path): return path.read_text(encoding='utf-8').split('\n')

def test_all_are_covered(): assert set(standin_names()) == {*FOLDERS} == {*TABLES, 'nsynth', 'audioset_b'}

@pytest.mark.parametrize('name', FOLDERS)
def test_folders_and_forms_are_those_published(name, made):
    root = made(name)
    for f in FOLDERS[name]: assert find_audio(root/f), f
    infos = [audio_info(p) for p in find_audio(root)]
    assert {(i.format, i.sr, i.channels) for i in infos} == FORMS.get(name, {('WAV',16000,1)})
    assert all(.1<i.seconds<=10 for i in infos)

@pytest.mark.parametrize('name,table,header,recorded,form', [(n,*t) for n,ts in TABLES.items() for t in ts], ids=[f'{n}-{t[0].split("/")[-1]}' for n,ts in TABLES.items() for t in ts])
def test_tables_have_the_form_of_the_recorded_lines(name, table, header, recorded, form, made):
    for l in recorded: assert re.fullmatch(form, l), f'the recorded line {l!r} has another form'
    got = lines(made(name)/table)
    assert got.pop()=='' and len(got)>len(header)
    for want,l in zip(header, got): assert l==want or re.fullmatch(want, l), l
    for l in got[len(header):]: assert re.fullmatch(form, l), l

def test_nsynth_notes_have_the_recorded_fields(made):
    for s in ('train','valid','test'):
        notes = json.loads((made('nsynth')/f'nsynth-{s}'/'examples.json').read_text())
        assert {p.stem for p in find_audio(made('nsynth')/f'nsynth-{s}')}==notes.keys()
        for k,v in notes.items():
            assert list(v)==list(NOTE['bass_synthetic_033-022-050']) and [type(o) for o in v.values()]==[type(o) for o in NOTE['bass_synthetic_033-022-050'].values()]
            assert k==v['note_str']==f"{v['instrument_str']}-{v['pitch']:03d}-{v['velocity']:03d}" and len(v['qualities'])==10
    assert {audio_info(p).frames for p in find_audio(made('nsynth'))}=={64000}

def test_us8k_classes_have_their_published_numbers(made):
    want = 'air_conditioner car_horn children_playing dog_bark drilling engine_idling gun_shot jackhammer siren street_music'.split()
    rows = list(csv.DictReader(io.StringIO((made('us8k')/'metadata'/'UrbanSound8K.csv').read_text())))
    assert all(want[int(r['classID'])]==r['class'] for r in rows) and {int(r['fold']) for r in rows}==set(range(1, 11))
    assert {f"audio/fold{r['fold']}/{r['slice_file_name']}" for r in rows}=={p.relative_to(made('us8k')).as_posix() for p in find_audio(made('us8k'))}
    assert len({r['fsID'] for r in rows})==len(rows)

def test_lists_of_classes_are_whole():
    a = list(csv.DictReader(io.StringIO((data_path().parent/'labels'/'audioset.csv').read_text(encoding='utf-8'))))
    assert [int(r['index']) for r in a]==list(range(527)) and len({r['mid'] for r in a})==len({r['display_name'] for r in a})==527
    known = {72:'Animal', 137:'Music', 300:'Vehicle', 307:'Car', 388:'Alarm', 427:'Gunshot, gunfire', 500:'Silence', 526:'Field recording'}
    assert {k: a[k]['display_name'] for k in known}==known
    f = [l.split(',') for l in (data_path().parent/'labels'/'fsd50k.csv').read_text(encoding='utf-8').splitlines()]
    assert [int(r[0]) for r in f]==list(range(200)) and [r[1] for r in f]==sorted({r[1] for r in f}) and len({r[2] for r in f})==200
    assert (f[53],f[69])==(['53','Crushing','/m/07plct2'], ['69','Electric_guitar','/m/02sgy'])

def test_what_is_listed_is_there(made):
    for s in ('eval','dev'):
        rows = list(csv.DictReader(io.StringIO((made('fsd50k')/f'FSD50K.ground_truth/{s}.csv').read_text())))
        assert {r['fname'] for r in rows}=={p.stem for p in find_audio(made('fsd50k')/f'FSD50K.{s}_audio')}
        vocabulary = {l.split(',')[1]: l.split(',')[2] for l in lines(made('fsd50k')/'FSD50K.ground_truth/vocabulary.csv')[:-1]}
        for r in rows: assert [vocabulary[l] for l in r['labels'].split(',')]==r['mids'].split(',')
    for s,lost in (('balanced_train_segments',1), ('unbalanced_train_segments',1), ('eval_segments',0)):        # videos vanish
        ids = {l.split(',')[0] for l in lines(made('audioset')/f'csv/{s}.csv')[3:-1]}
        assert len(ids - {p.stem for p in find_audio(made('audioset')/'audio'/s)})==lost
    for s in ('train','eval'):
        ids = {l.split('\t')[0] for l in lines(made('as_strong')/f'meta/source/audioset_{s}_strong.tsv')[1:-1]}
        assert ids=={p.stem for p in find_audio(made('as_strong')/'data'/s)}
    assert len({l.split('\t')[0] for l in lines(made('desed')/'metadata/validation/validation.tsv')[1:-1]})==5
    assert sum(l.endswith('\t\t\t') for l in lines(made('desed')/'metadata/validation/validation.tsv'))==1
    assert any(audio_info(p).seconds<10 for p in find_audio(made('desed')/'audio/validation/validation'))

def test_events_lie_inside_their_clips(made):
    for root,table,folder,ext in ((made('desed'),'metadata/validation/validation.tsv','audio/validation/validation',''), (made('as_strong'),'meta/source/audioset_eval_strong.tsv','data/eval','.wav')):
        for l in lines(root/table)[1:-1]:
            clip,*rest = l.split('\t')
            a,b = (rest[0],rest[1])
            if a: assert 0<=float(a)<float(b)<=audio_info(root/folder/f'{clip}{ext}').seconds+1e-3

def content(root): return {p.relative_to(root).as_posix(): hashlib.md5(p.read_bytes()).hexdigest() for p in root.rglob('*') if p.is_file()}

@pytest.mark.parametrize('name', standin_names())
def test_a_function_of_name_seed_and_size(name, made, tmp_path):
    assert content(made(name))==content(write_standin(name, tmp_path/'again'))
    few = write_standin(name, tmp_path/'few', seed=1, clips=2)
    assert 0<len(find_audio(few))<len(find_audio(made(name))) or name=='librispeech'

def test_it_writes_over_nothing(tmp_path):
    (tmp_path/'mine.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='something already'): write_standin('spcv2', tmp_path)
    with pytest.raises(FileExistsError): write_standin('spcv2', tmp_path/'mine.txt')
    with pytest.raises(ValueError, match='clips=0: at least 1'): write_standin('spcv2', tmp_path/'new', clips=0)
    with pytest.raises(ValueError, match="no stand-in for 'cifar'"): write_standin('cifar', tmp_path/'new')
    assert [p.name for p in tmp_path.iterdir()]==['mine.txt'] and not (tmp_path/'new').exists()

def test_tree_counts_what_it_does_not_draw(tmp_path):
    for i in range(12): (tmp_path/'t'/f'fold{i}').mkdir(parents=True); (tmp_path/'t'/f'{i}.wav').touch()
    got = tree(tmp_path/'t', max_files=2, max_folders=3).split('\n')
    assert got==['t/', '├── fold0/', '├── fold1/', '├── fold2/', '├── ... 9 more folders', '├── 0.wav', '├── 1.wav', '└── ... 10 more files']
