# Independent second implementation (Ed25519 by RFC 8032, RFC 6962, C2SP notes) that writes the vectors of
# notes, proofs, merkle, witness and evidence.
import hashlib, base64, os, sys
OUT = sys.argv[1]
P = 2**255 - 19; L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P-2, P) % P; SQ = pow(2, (P-1)//4, P)
def add(a, b):
    x1,y1,z1,t1 = a; x2,y2,z2,t2 = b
    A=(y1-x1)*(y2-x2)%P; B=(y1+x1)*(y2+x2)%P; C=2*t1*t2*D%P; E=2*z1*z2%P
    e,f,g,h=B-A,E-C,E+C,B+A
    return (e*f%P,g*h%P,f*g%P,e*h%P)
def mul(s,p):
    q=(0,1,1,0)
    while s:
        if s&1: q=add(q,p)
        p=add(p,p); s>>=1
    return q
def enc(p):
    zi=pow(p[2],P-2,P); x=p[0]*zi%P; y=p[1]*zi%P
    return (y|((x&1)<<255)).to_bytes(32,'little')
def recover(y,sign):
    x2=(y*y-1)*pow(D*y*y+1,P-2,P)%P
    x=pow(x2,(P+3)//8,P)
    if (x*x-x2)%P: x=x*SQ%P
    if (x*x-x2)%P: return None
    if (x&1)!=sign: x=P-x
    return (x%P,y%P,1,x*y%P)
def dec(b):
    n=int.from_bytes(b,'little'); return recover((n&(2**255-1))%P,n>>255)
B=recover(4*pow(5,P-2,P)%P,0)
sha=lambda *p: hashlib.sha256(b''.join(p)).digest()
def h512(*p): return int.from_bytes(hashlib.sha512(b''.join(p)).digest(),'little')%L
class Key:
    def __init__(s,seed):
        h=hashlib.sha512(seed).digest(); a=int.from_bytes(h[:32],'little'); a&=(1<<254)-8; a|=1<<254
        s.a=a; s.pre=h[32:]; s.pub=enc(mul(a,B))
    def sign(s,m):
        r=h512(s.pre,m); R=enc(mul(r,B)); k=h512(R,s.pub,m)
        return R+((r+k*s.a)%L).to_bytes(32,'little')
b64=lambda b: base64.b64encode(b)
def kid(name,alg,pub): return sha(name.encode(),b'\n',bytes([alg]),pub)[:4]
def vkey(name,alg,pub): return f"{name}+{kid(name,alg,pub).hex()}+{b64(bytes([alg])+pub).decode()}"
def line(name,kid_,sig): return '— '.encode()+name.encode()+b' '+b64(kid_+sig)+b'\n'
def leafh(e): return sha(b'\0',e)
def nodeh(a,b): return sha(b'\1',a,b)
def mth(ls):
    if not ls: return sha(b'')
    if len(ls)==1: return ls[0]
    k=1
    while k*2<len(ls): k*=2
    return nodeh(mth(ls[:k]),mth(ls[k:]))
def path(m,ls):
    if len(ls)==1: return []
    k=1
    while k*2<len(ls): k*=2
    return path(m,ls[:k])+[mth(ls[k:])] if m<k else path(m-k,ls[k:])+[mth(ls[:k])]
def cons(m,ls):
    def sub(m,ls,b):
        if m==len(ls): return [] if b else [mth(ls)]
        k=1
        while k*2<len(ls): k*=2
        return sub(m,ls[:k],b)+[mth(ls[k:])] if m<=k else sub(m-k,ls[k:],False)+[mth(ls[:k])]
    return sub(m,ls,True)
names=set()
def write(area,name,expect,reason,body,rule=None,**head):
    assert (area,name) not in names; names.add((area,name))
    os.makedirs(f"{OUT}/{area}",exist_ok=True)
    t=f"# expect: {expect}\n"
    if rule: t+=f"# rule: {rule}\n"
    t+=f"# reason: {reason}\n"
    for k,v in head.items(): t+=f"# {k}: {v}\n"
    with open(f"{OUT}/{area}/{name}.txt",'wb') as f: f.write(t.encode()+b"----\n"+body)
def ok(area,name,reason,body,**h): write(area,name,'accept',reason,body,**h)
def bad(area,name,rule,reason,body,**h): write(area,name,'reject',reason,body,rule,**h)

# ---- merkle: the eight entries of the Certificate Transparency test tree
E=[b'',b'\0',b'\x10',b'\x20\x21',b'\x30\x31',bytes(range(0x40,0x44)),bytes(range(0x50,0x58)),bytes(range(0x60,0x70))]
LS=[leafh(e) for e in E]
ok('merkle','roots','the test tree of Certificate Transparency, root after each entry',
   ''.join(f"entry {e.hex()}\nroot {mth(LS[:i+1]).hex()}\n" for i,e in enumerate(E)).encode(),kind='roots')
def incl(i,n,proof,root,leaf): return (f"leaf {leaf.hex()}\nindex {i}\nsize {n}\nroot {root.hex()}\n"+''.join(f"hash {h.hex()}\n" for h in proof)).encode()
def con(a,b,ra,rb,proof): return (f"old {a}\nnew {b}\nold_root {ra.hex()}\nnew_root {rb.hex()}\n"+''.join(f"hash {h.hex()}\n" for h in proof)).encode()
def fl(b,bit=0): b=bytearray(b); b[bit//8]^=1<<(bit%8); return bytes(b)
for i,n in [(0,1),(0,8),(5,8),(2,3),(1,5),(6,7)]:
    ok('merkle',f'inclusion-{i}-of-{n}','inclusion proof',incl(i,n,path(i,LS[:n]),mth(LS[:n]),LS[i]),kind='inclusion')
p57=path(5,LS[:7]); r7=mth(LS[:7])
B_='inclusion'
bad('merkle','inclusion-bit-in-hash','RootMismatch','one bit of a proof hash is flipped',incl(5,7,[fl(p57[0],77)]+p57[1:],r7,LS[5]),kind=B_)
bad('merkle','inclusion-bit-in-root','RootMismatch','one bit of the root is flipped',incl(5,7,p57,fl(r7,255),LS[5]),kind=B_)
bad('merkle','inclusion-bit-in-leaf','RootMismatch','one bit of the leaf hash is flipped',incl(5,7,p57,r7,fl(LS[5],1)),kind=B_)
bad('merkle','inclusion-other-index','RootMismatch','the sibling of the leaf is named',incl(4,7,p57,r7,LS[5]),kind=B_)
bad('merkle','inclusion-index-is-size','IndexOutOfRange','the index is one past the last leaf',incl(7,7,p57,r7,LS[5]),kind=B_)
bad('merkle','inclusion-empty-tree','IndexOutOfRange','the empty tree includes nothing',incl(0,0,[],sha(b''),LS[0]),kind=B_)
bad('merkle','inclusion-too-short','ProofLength','the last hash is missing',incl(5,7,p57[:-1],r7,LS[5]),kind=B_)
bad('merkle','inclusion-too-long','ProofLength','a hash follows the proof',incl(5,7,p57+[r7],r7,LS[5]),kind=B_)
bad('merkle','inclusion-swapped','RootMismatch','two hashes changed places',incl(5,7,[p57[1],p57[0]]+p57[2:],r7,LS[5]),kind=B_)
bad('merkle','inclusion-level-left-out','RootMismatch','the first hash is left out and a tree of fitting size is claimed',incl(0,3,path(0,LS[:8])[1:],mth(LS[:8]),LS[0]),kind=B_)
K_='consistency'
for a,b in [(1,1),(1,8),(6,8),(2,5),(3,7),(7,8),(4,8)]:
    ok('merkle',f'consistency-{a}-to-{b}','consistency proof',con(a,b,mth(LS[:a]),mth(LS[:b]),cons(a,LS[:b])),kind=K_)
ok('merkle','consistency-0-to-5','every tree continues the empty one',con(0,5,sha(b''),mth(LS[:5]),[]),kind=K_)
c=cons(3,LS[:7]); r3=mth(LS[:3])
bad('merkle','consistency-bit-in-hash','RootMismatch','one bit of a proof hash is flipped',con(3,7,r3,r7,c[:1]+[fl(c[1],9)]+c[2:]),kind=K_)
bad('merkle','consistency-bit-in-old-root','RootMismatch','one bit of the old root is flipped',con(3,7,fl(r3),r7,c),kind=K_)
bad('merkle','consistency-bit-in-new-root','RootMismatch','one bit of the new root is flipped',con(3,7,r3,fl(r7),c),kind=K_)
bad('merkle','consistency-too-short','ProofLength','the last hash is missing',con(3,7,r3,r7,c[:-1]),kind=K_)
bad('merkle','consistency-too-long','ProofLength','a hash follows the proof',con(3,7,r3,r7,c+[r3]),kind=K_)
bad('merkle','consistency-empty','ProofLength','an empty proof between different sizes',con(4,8,mth(LS[:4]),mth(LS),[]),kind=K_)
bad('merkle','consistency-backwards','SizeBelowPrefix','the sizes are exchanged',con(7,3,r7,r3,c),kind=K_)
bad('merkle','consistency-same-size-other-root','RootMismatch','one size, two roots: a fork',con(7,7,r7,r3,[]),kind=K_)
bad('merkle','consistency-from-0-with-root','RootMismatch','the empty tree has one root',con(0,5,r3,mth(LS[:5]),[]),kind=K_)
forked=LS[:2]+[leafh(b'other')]+LS[3:7]
bad('merkle','consistency-of-a-fork','RootMismatch','the new tree has another third leaf',con(3,7,r3,mth(forked),cons(3,forked)),kind=K_)

# ---- notes
O='hearth-0011223344556677/north/0'; k=Key(bytes([1])*32); k2=Key(bytes([2])*32); w=Key(bytes([3])*32); W='hearth-0011223344556677/witness/east'
text=f"{O}\n7\n".encode()+b64(r7)+b'\n'
VK=vkey(O,1,k.pub)
S=lambda t,key=k,name=O: line(name,kid(name,1,key.pub),key.sign(t))
note=lambda t,*ls: t+b'\n'+b''.join(ls)
A='notes'; N=dict(kind='note',key=VK); C=dict(kind='checkpoint',key=VK)
ok(A,'note-plain','one text, one signature',note(b'hello\n',S(b'hello\n')),**N)
ok(A,'note-empty-lines-in-text','the last empty line separates',note(b'a\n\n\nb\n',S(b'a\n\n\nb\n')),**N)
ok(A,'note-text-ends-in-empty-line','an empty line may end the text',note(b'a\n\n',S(b'a\n\n')),**N)
ok(A,'note-utf8','any UTF-8 text','ed è subito sera.\n'.encode()+b'\n'+S('ed è subito sera.\n'.encode()),**N)
ok(A,'note-unknown-signers','signatures of unknown keys are ignored, whatever their length',
   note(b'hello\n',line('example.org/x',b'abcd',b'?'),S(b'hello\n'),line(O,b'\0\0\0\0',b'x'*64)),**N)
ok(A,'note-two-unknown-of-one-name','doubled lines of an unknown key are no concern',
   note(b'hello\n',line('example.org/x',b'abcd',b'?'),line('example.org/x',b'abcd',b'?'),S(b'hello\n')),**N)
ok(A,'note-32-signatures','32 signature lines are read',note(b'hello\n',*[line('example.org/x',b'abcd',b'?')]*31,S(b'hello\n')),**N)
bad(A,'note-33-signatures','TooManySignatures','33 signature lines',note(b'hello\n',*[line('example.org/x',b'abcd',b'?')]*32,S(b'hello\n')),**N)
bad(A,'note-too-long','TooLong','more than 16 KiB',note(b'a'*16384+b'\n',S(b'a'*16384+b'\n')),**N)
bad(A,'note-wrong-key-id','NotSigned','the key id is that of another key',note(b'hello\n',line(O,kid(O,1,k2.pub),k.sign(b'hello\n'))),**N)
bad(A,'note-wrong-name','NotSigned','the same key under another name has another id',note(b'hello\n',S(b'hello\n',k,'example.org/x')),**N)
bad(A,'note-key-id-without-type','NotSigned','the type byte is left out of the key id',note(b'hello\n',line(O,sha(O.encode(),b'\n',k.pub)[:4],k.sign(b'hello\n'))),**N)
bad(A,'note-key-id-of-cosigner','NotSigned','the key id is that of a cosignature by the same key',note(b'hello\n',line(O,kid(O,4,k.pub),k.sign(b'hello\n'))),**N)
bad(A,'note-duplicate-signature','DuplicateSignature','the known key has two lines, both good',note(b'hello\n',S(b'hello\n'),S(b'hello\n')),**N)
bad(A,'note-second-signature-bad','DuplicateSignature','the known key has a good and a bad line',note(b'hello\n',S(b'hello\n'),line(O,kid(O,1,k.pub),b'x'*64)),**N)
bad(A,'note-other-text','BadSignature','the signature is over another text',note(b'hello!\n',S(b'hello\n')),**N)
bad(A,'note-other-key-same-id','BadSignature','another key signed under the id of the known one',note(b'hello\n',line(O,kid(O,1,k.pub),k2.sign(b'hello\n'))),**N)
bad(A,'note-signature-without-newline','BadSignature','the final newline belongs to the signed text',note(b'hello\n',line(O,kid(O,1,k.pub),k.sign(b'hello'))),**N)
bad(A,'note-signature-over-blank-line','BadSignature','the separating line does not belong to the signed text',note(b'hello\n',line(O,kid(O,1,k.pub),k.sign(b'hello\n\n'))),**N)
bad(A,'note-short-signature','SignatureLength','63 bytes of signature',note(b'hello\n',line(O,kid(O,1,k.pub),k.sign(b'hello\n')[:63])),**N)
bad(A,'note-long-signature','SignatureLength','65 bytes of signature',note(b'hello\n',line(O,kid(O,1,k.pub),k.sign(b'hello\n')+b'\0')),**N)
bad(A,'note-only-key-id','ShortSignature','a key id and nothing behind it',note(b'hello\n',line(O,kid(O,1,k.pub),b'')),**N)
bad(A,'note-three-byte-signature','ShortSignature','less than a key id, even from an unknown key',note(b'hello\n',line('x',b'abc',b''),S(b'hello\n')),**N)
bad(A,'note-no-blank-line','NoSeparator','no empty line',b'hello\n'+S(b'hello\n'),**N)
bad(A,'note-empty','NoSeparator','nothing at all',b'',**N)
bad(A,'note-no-signatures','NoSignatureLines','nothing behind the empty line',b'hello\n\n',**N)
bad(A,'note-blank-line-at-the-end','NoSignatureLines','an empty line behind the signatures is the last one',note(b'hello\n',S(b'hello\n'))+b'\n',**N)
bad(A,'note-unfinished','UnfinishedLine','the final newline is missing',note(b'hello\n',S(b'hello\n'))[:-1],**N)
bad(A,'note-carriage-return','ControlCharacter','lines end in CR LF',note(b'hello\n',S(b'hello\n')).replace(b'\n',b'\r\n'),**N)
bad(A,'note-tab','ControlCharacter','a tab in the text',note(b'a\tb\n',S(b'a\tb\n')),**N)
bad(A,'note-nul','ControlCharacter','a NUL in the text',note(b'a\0b\n',S(b'a\0b\n')),**N)
bad(A,'note-not-utf8','NotUtf8','a lone continuation byte',note(b'a\x80\n',S(b'a\x80\n')),**N)
bad(A,'note-surrogate','NotUtf8','a UTF-16 surrogate in three bytes',note(b'\xed\xa0\x80\n',S(b'\xed\xa0\x80\n')),**N)
good=S(b'hello\n')
bad(A,'note-hyphen','LineForm','a hyphen for the em dash',note(b'hello\n',good.replace('—'.encode(),b'-')),**N)
bad(A,'note-en-dash','LineForm','an en dash for the em dash',note(b'hello\n',good.replace('—'.encode(),'–'.encode())),**N)
bad(A,'note-no-signature-field','LineForm','a name and no signature',note(b'hello\n',f'— {O}\n'.encode()),**N)
bad(A,'note-empty-name','KeyName','two spaces where a name should be',note(b'hello\n',good.replace(O.encode(),b'')),**N)
bad(A,'note-plus-in-name','KeyName','a plus sign in a name',note(b'hello\n',line('a+b',b'abcd',b'?'),good),**N)
bad(A,'note-unicode-space-in-name','KeyName','an em space in a name',note(b'hello\n',line('a\u2003b',b'abcd',b'?'),good),**N)
bad(A,'note-two-spaces','Base64','two spaces before the signature',note(b'hello\n',good.replace(O.encode()+b' ',O.encode()+b'  ')),**N)
bad(A,'note-trailing-space','Base64','a space behind the signature',note(b'hello\n',good[:-1]+b' \n'),**N)
assert good.endswith(b'=\n')
bad(A,'note-no-padding','Base64','base64 without its padding',note(b'hello\n',good.replace(b'=',b'')),**N)
al='ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
ch=good.rstrip(b'=\n')[-1:].decode(); pad=good.count(b'=')
stray=al[al.index(ch)+1]
bad(A,'note-stray-bits','Base64','the last base64 digit has bits that no byte uses',note(b'hello\n',good.rstrip(b'=\n')[:-1]+stray.encode()+b'='*pad+b'\n'),**N)
bad(A,'note-url-base64','Base64','the URL alphabet of base64',note(b'hello\n',line('x',b'\xff\xff\xff\xff',b'\xff\xff').replace(b'/',b'_'),good),**N)
# S not reduced, R of small order
sig=k.sign(b'hello\n'); s_=int.from_bytes(sig[32:],'little')
bad(A,'note-s-not-reduced','BadSignature','S plus the group order: the same equation, a second encoding',note(b'hello\n',line(O,kid(O,1,k.pub),sig[:32]+(s_+L).to_bytes(32,'little'))),**N)
R0=enc((0,1,1,0)); kk=h512(R0,k.pub,b'hello\n')
bad(A,'note-r-small-order','BadSignature','R is the neutral element; the key holder can make the equation hold',note(b'hello\n',line(O,kid(O,1,k.pub),R0+(kk*k.a%L).to_bytes(32,'little'))),**N)
# torsion point of order 8
T=None; y=2
while T is None:
    q=recover(y,0); y+=1
    if q is None: continue
    t=mul(L,q)
    if enc(mul(4,t))!=R0: T=t
r=h512(b'mixed'); Rm=enc(add(mul(r,B),T)); km=h512(Rm,k.pub,b'hello\n')
bad(A,'note-r-mixed-order','BadSignature','R carries a point of order 8: only a cofactored verifier accepts',note(b'hello\n',line(O,kid(O,1,k.pub),Rm+((r+km*k.a)%L).to_bytes(32,'little'))),**N)
# public keys
PK=dict(kind='public-key')
ok(A,'key-ordinary','an ordinary key',k.pub.hex().encode()+b'\n',**PK)
small=[enc(mul(i,T)) for i in range(8)]
for i,p in enumerate(small): bad(A,f'key-small-order-{i}','SmallOrder','a point of small order',p.hex().encode()+b'\n',**PK)
bad(A,'key-mixed-order','MixedOrder','a key plus a point of order 8',enc(add(dec(k.pub),T)).hex().encode()+b'\n',**PK)
bad(A,'key-not-a-point','NotAPoint','no point has this y',next(v for v in ((i).to_bytes(32,'little') for i in range(2,99)) if dec(v) is None).hex().encode()+b'\n',**PK)
nc=[(P+i) for i in range(19) if recover(i,0) is not None]
for v in nc:
    bad(A,f'key-not-canonical-{v-P}','NotCanonical|NotAPoint|SmallOrder','y is not reduced modulo the field prime',v.to_bytes(32,'little').hex().encode()+b'\n',**PK)
bad(A,'key-negative-zero','NotCanonical|NotAPoint|SmallOrder','x is zero and its sign bit is set',(1|1<<255).to_bytes(32,'little').hex().encode()+b'\n',**PK)
bad(A,'key-upper-case','Hex','upper-case digits',k.pub.hex().upper().encode()+b'\n',**PK)
bad(A,'key-31-bytes','Hex','31 bytes',k.pub[:31].hex().encode()+b'\n',**PK)
# vkeys
V=dict(kind='vkey')
ok(A,'vkey-log','a verifier key of type 1',VK.encode()+b'\n',**V)
ok(A,'vkey-cosigner','a verifier key of type 4',vkey(W,4,w.pub).encode()+b'\n',**V)
bad(A,'vkey-wrong-id','VkeyId','the id is that of another key',VK.replace(kid(O,1,k.pub).hex(),kid(O,1,k2.pub).hex()).encode()+b'\n',**V)
bad(A,'vkey-unknown-type','VkeyAlgorithm','type 2 is not used here',vkey(O,2,k.pub).encode()+b'\n',**V)
bad(A,'vkey-short-key','VkeyForm','31 bytes of key',vkey(O,1,k.pub[:31]).encode()+b'\n',**V)
bad(A,'vkey-weak-key','VkeyKey','the neutral element',vkey(O,1,R0).encode()+b'\n',**V)
bad(A,'vkey-upper-case-id','VkeyForm','upper-case id','+'.join([O,kid(O,1,k.pub).hex().upper(),b64(b'\1'+k.pub).decode()]).encode()+b'\n',**V) if kid(O,1,k.pub).hex().upper()!=kid(O,1,k.pub).hex() else None
bad(A,'vkey-two-parts','VkeyForm','no key',b'a+01020304\n',**V)
bad(A,'vkey-empty-name','VkeyForm','no name',vkey('',1,k.pub).encode()+b'\n',**V)
# checkpoints
CO=dict(kind='checkpoint',key=VK)
cp=lambda t: note(t,S(t))
root64=b64(r7)
ok(A,'checkpoint','size 7 of the test tree',cp(text),**CO)
ok(A,'checkpoint-empty-tree','size 0',cp(O.encode()+b'\n0\n'+b64(sha(b''))+b'\n'),**CO)
ok(A,'checkpoint-largest','size 2^63 - 1',cp(O.encode()+b'\n9223372036854775807\n'+root64+b'\n'),**CO)
def cs(t,name=W,key=w,time=1700000000,alg=4,msgtime=None,head=b'cosignature/v1\n'):
    m=head+b'time %d\n'%(time if msgtime is None else msgtime)+t
    return line(name,kid(name,alg,key.pub),time.to_bytes(8,'big')+key.sign(m))
ok(A,'checkpoint-cosigned','the line of a witness does not disturb the log\'s',note(text,S(text),cs(text)),**CO)
for n,rule,why,sz in [('leading-zero','Size','a leading zero',b'07'),('size-00','Size','zero in two digits',b'00'),('size-plus','Size','a plus sign',b'+7'),('size-negative','Size','a minus sign',b'-7'),
  ('size-empty','Size','no digits',b''),('size-hex','Size','hexadecimal',b'0x7'),('size-space','Size','a space behind the digits',b'7 '),('size-2-63','Size','2^63',b'9223372036854775808'),('size-2-64','Size','2^64',b'18446744073709551616'),('size-arabic','Size','digits of another script','٧'.encode())]:
    bad(A,f'checkpoint-{n}' if not n.startswith('checkpoint') else n,rule,why,cp(O.encode()+b'\n'+sz+b'\n'+root64+b'\n'),**CO)
bad(A,'checkpoint-extension-line','Lines','an extension line',cp(text+b'extra\n'),**CO)
bad(A,'checkpoint-two-lines','Lines','no root',cp(O.encode()+b'\n7\n'),**CO)
bad(A,'checkpoint-blank-extension','Lines','an empty line behind the root',cp(text+b'\n'),**CO)
bad(A,'checkpoint-short-root','Root','31 bytes of root',cp(O.encode()+b'\n7\n'+b64(r7[:31])+b'\n'),**CO)
bad(A,'checkpoint-long-root','Root','33 bytes of root',cp(O.encode()+b'\n7\n'+b64(r7+b'\0')+b'\n'),**CO)
bad(A,'checkpoint-hex-root','Root','the root in hexadecimal',cp(O.encode()+b'\n7\n'+r7.hex().encode()+b'\n'),**CO)
rl=root64.rstrip(b'=');
bad(A,'checkpoint-root-stray-bits','Root','the last base64 digit of the root has bits that no byte uses',cp(O.encode()+b'\n7\n'+rl[:-1]+al[al.index(chr(rl[-1]))+1].encode()+b'=\n'),**CO)
bad(A,'checkpoint-root-unpadded','Root','no padding',cp(O.encode()+b'\n7\n'+rl+b'\n'),**CO)
bad(A,'checkpoint-empty-tree-other-root','EmptyRoot','size 0 with the root of something',cp(O.encode()+b'\n0\n'+root64+b'\n'),**CO)
other='hearth-0011223344556677/north/1'
t2=text.replace(O.encode(),other.encode())
bad(A,'checkpoint-wrong-origin','WrongOrigin','a checkpoint of the member\'s next log',note(t2,S(t2,k,other)),**CO)
bad(A,'checkpoint-origin-not-key-name','WrongOrigin','another origin signed under the expected key name',note(t2,S(t2)),**CO)
bad(A,'checkpoint-key-name-not-origin','NotSigned','the expected origin signed under another key name',note(text,S(text,k,other)),**CO)
bad(A,'checkpoint-empty-origin','Origin','no origin',cp(b'\n7\n'+root64+b'\n'),**CO)
bad(A,'checkpoint-space-in-origin','Origin','a space in the origin',cp(b'a b\n7\n'+root64+b'\n'),**CO)
bad(A,'checkpoint-only-cosigned','NotSigned','the log itself did not sign',note(text,cs(text)),**CO)
bad(A,'checkpoint-by-other-key','NotSigned','another key under the same name',note(text,S(text,k2)),**CO)
bad(A,'checkpoint-changed-size','BadSignature','the size was changed after signing',note(text.replace(b'\n7\n',b'\n8\n'),S(text)),**CO)
# cosignatures
CS=dict(kind='cosignature',key=vkey(W,4,w.pub))
ok(A,'cosignature','a witness at a stated time',note(text,S(text),cs(text)),time=1700000000,**CS)
ok(A,'cosignature-time-0','time 0 is a time',note(text,S(text),cs(text,time=0)),time=0,**CS)
ok(A,'cosignature-latest-time','2^63 - 1',note(text,S(text),cs(text,time=2**63-1)),time=2**63-1,**CS)
bad(A,'cosignature-time-2-63','Time','the time exceeds 2^63 - 1',note(text,S(text),cs(text,time=2**63)),**CS)
bad(A,'cosignature-time-changed','BadSignature','the time was changed after signing',note(text,S(text),cs(text,time=1700000001,msgtime=1700000000)),**CS)
bad(A,'cosignature-of-other-size','BadSignature','cosigned another checkpoint',note(text,S(text),cs(text.replace(b'\n7\n',b'\n6\n'))),**CS)
bad(A,'cosignature-plain-signature','SignatureLength','a plain signature under the cosigner\'s id',note(text,S(text),line(W,kid(W,4,w.pub),w.sign(text))),**CS)
bad(A,'cosignature-time-not-signed','BadSignature','time in the line, plain signature behind it',note(text,S(text),line(W,kid(W,4,w.pub),(1700000000).to_bytes(8,'big')+w.sign(text))),**CS)
bad(A,'cosignature-other-header','BadSignature','another version in the header line',note(text,S(text),cs(text,head=b'cosignature/v2\n')),**CS)
bad(A,'cosignature-type-1-id','NotSigned','the id of a plain signature',note(text,S(text),cs(text,alg=1)),**CS)
bad(A,'cosignature-doubled','DuplicateSignature','two times by one witness',note(text,S(text),cs(text),cs(text,time=1700000001)),**CS)
bad(A,'cosignature-by-other-witness','NotSigned','another witness',note(text,S(text),cs(text,name='hearth-0011223344556677/witness/west',key=k2)),**CS)
bad(A,'cosignature-trailing-byte','SignatureLength','a byte behind the signature',note(text,S(text),line(W,kid(W,4,w.pub),base64.b64decode(cs(text).split()[-1])[4:]+b'\0')),**CS)
bad(A,'cosignature-empty-line','SignatureLength','seven bytes are not even a time',note(text,S(text),line(W,kid(W,4,w.pub),b'\0'*7)),**CS)
bad(A,'cosignature-of-no-checkpoint','Lines','a cosigned text that is not a checkpoint',note(b'hello\n',cs(b'hello\n')),**CS)
bad(A,'cosignature-of-extension','Lines','a checkpoint with an extension line',note(text+b'x\n',cs(text+b'x\n')),**CS)
bad(A,'cosignature-with-log-key','WrongAlgorithm','the verifier holds a key of type 1',note(text,S(text)),kind='cosignature',key=VK)

# ---- proofs
A='proofs'; i=5; n=7; salt=bytes(range(32))
cbor=bytes.fromhex('a102818202 50'.replace(' ',''))+bytes(range(0xa0,0xb0))
padded=(len(cbor).to_bytes(4,'big')+cbor).ljust(128,b'\0')
def leaf(index=i,kind=1,flags=0,magic=b'HPL1',origin=O,salt=salt,padded=padded):
    pre=magic+bytes([kind,flags])+(1).to_bytes(2,'big')+index.to_bytes(8,'big')+(1700000000000).to_bytes(8,'big')+(1).to_bytes(8,'big')+sha(origin.encode())+bytes(32)+bytes(4)+len(padded).to_bytes(4,'big')
    assert len(pre)==104
    return pre+sha(b'hashpact/payload/v1\0',pre,salt,padded)
def tree(lf): return LS[:i]+[leafh(lf)]+LS[i+1:n]
def cpn(ls,size=n,key=k,origin=O,more=b''):
    t=f"{origin}\n{size}\n".encode()+b64(mth(ls))+b'\n'
    return note(t,S(t,key,origin),more)
def proof(lf,extra=None,index=b'5',hashes=None,checkpoint=None,head=b'c2sp.org/tlog-proof@v1\n',ex=True,sep=b'\n'):
    ls=tree(lf); extra=lf+salt+padded if extra is None else extra
    hs=path(i,ls) if hashes is None else hashes
    return head+(b'extra '+b64(extra)+b'\n' if ex else b'')+b'index '+index+b'\n'+b''.join(b64(h)+b'\n' for h in hs)+sep+(cpn(ls) if checkpoint is None else checkpoint)
X=dict(origin=O,key=VK); lf=leaf(); ph=path(i,tree(lf))
ok(A,'record','leaf, salt and payload',proof(lf),payload='record',leaf='known',**X)
ok(A,'record-cosigned','a witness line in the note',proof(lf,checkpoint=cpn(tree(lf),more=cs(f"{O}\n7\n".encode()+b64(mth(tree(lf)))+b'\n'))),payload='record',leaf='known',**X)
ok(A,'leaf-alone','payload withheld or erased',proof(lf,extra=lf),payload='none',leaf='known',**X)
op=leaf(magic=b'HPL2')
ok(A,'opaque-leaf','a leaf of a later version, shown with what follows it: the payload is not read',proof(op),payload='none',leaf='opaque',**X)
long_=b'HPL2'+bytes(292)
ok(A,'foreign-leaf-of-296-bytes','a foreign leaf as long as a leaf with salt and payload: the tree says where it ends',proof(long_,extra=long_),payload='none',leaf='opaque',**X)
vd=leaf(index=6)
ok(A,'void-leaf','a leaf that states another index is proven, and void',proof(vd),payload='none',leaf='void',**X)
ok(A,'void-payload','a payload that is not canonical is proven, and void',
   (lambda p: (lambda l: proof(l,extra=l+salt+p))(leaf(padded=p)))((18).to_bytes(4,'big')+b'\xa1\x18\x02'+bytes(15)+bytes(106)),payload='void',leaf='known',**X)
bad(A,'other-origin','WrongOrigin','a proof of another log of the same member',proof(lf,checkpoint=(lambda t: note(t,S(t,k,other)))(f"{other}\n7\n".encode()+b64(mth(tree(lf)))+b'\n')),**X)
bad(A,'other-key','NotSigned','signed by another key',proof(lf,checkpoint=cpn(tree(lf),key=k2)),**X)
bad(A,'other-root','RootMismatch','the checkpoint is of another tree',proof(lf,checkpoint=cpn(LS[:n])),**X)
bad(A,'other-index','RootMismatch','the index of the sibling',proof(lf,index=b'4'),**X)
bad(A,'index-beyond-size','IndexOutOfRange','an index that is not in the tree',proof(lf,index=b'7'),**X)
bad(A,'index-leading-zero','Index','a leading zero',proof(lf,index=b'05'),**X)
bad(A,'index-plus','Index','a plus sign',proof(lf,index=b'+5'),**X)
bad(A,'index-2-64','Index','2^64',proof(lf,index=b'18446744073709551616'),**X)
bad(A,'index-missing','Index','no index line',proof(lf).replace(b'index 5\n',b''),**X)
bad(A,'index-before-extra','Hash','the lines are in the other order',(lambda p: p.split(b'\n')[0]+b'\nindex 5\n'+p.split(b'\n')[1]+b'\n'+p.split(b'\n',3)[3])(proof(lf)),**X)
bad(A,'two-extra-lines','Index','extra twice',(lambda p: p.split(b'\n')[0]+b'\n'+p.split(b'\n')[1]+b'\n'+p.split(b'\n',1)[1])(proof(lf)),**X)
bad(A,'hash-missing','ProofLength','a hash is missing',proof(lf,hashes=ph[:-1]),**X)
bad(A,'hash-too-many','ProofLength','a hash too many',proof(lf,hashes=ph+[r7]),**X)
bad(A,'hash-flipped','RootMismatch','a bit of a hash is flipped',proof(lf,hashes=[fl(ph[0],200)]+ph[1:]),**X)
bad(A,'hash-short','Hash','31 bytes of hash',proof(lf,hashes=[ph[0][:31]]+ph[1:]),**X)
bad(A,'hashes-65','TooManyHashes','more hashes than a tree has levels',proof(lf,hashes=[r7]*65),**X)
bad(A,'salt-flipped','Payload','a bit of the salt is flipped: the leaf commits to another',proof(lf,extra=lf+fl(salt,3)+padded),**X)
bad(A,'payload-flipped','Payload','a bit of the payload is flipped',proof(lf,extra=lf+salt+fl(padded,50)),**X)
bad(A,'padding-flipped','Payload','a bit of the padding is flipped',proof(lf,extra=lf+salt+fl(padded,1020)),**X)
bad(A,'payload-longer','Payload','padded to the next size after the fact',proof(lf,extra=lf+salt+padded.ljust(256,b'\0')),**X)
bad(A,'payload-missing','RootMismatch','salt without payload: neither a leaf alone nor a whole record',proof(lf,extra=lf+salt),**X)
bad(A,'leaf-flipped','RootMismatch','a bit of the leaf is flipped',proof(lf,extra=fl(lf,130*8)+salt+padded),**X)
bad(A,'no-extra','NoLeaf','no extra line',proof(lf,ex=False),**X)
bad(A,'extra-empty','RootMismatch','an extra line without data',proof(lf).replace(proof(lf).split(b'\n')[1],b'extra '),**X)
bad(A,'extra-too-long','Extra','more than the largest payload',proof(lf,extra=lf+salt+bytes(65537)),**X)
bad(A,'extra-unpadded','Extra','base64 without its padding',proof(lf,extra=lf+salt+padded).replace(b'=\nindex',b'\nindex'),**X)
bad(A,'header-version-2','Header','another version',proof(lf,head=b'c2sp.org/tlog-proof@v2\n'),**X)
bad(A,'header-missing','Header','no first line',proof(lf,head=b''),**X)
bad(A,'carriage-return','Header','lines end in CR LF',proof(lf).replace(b'\n',b'\r\n'),**X)
bad(A,'no-blank-line','Hash','no empty line before the checkpoint',proof(lf,sep=b''),**X)
bad(A,'two-blank-lines','Origin|Lines','two empty lines before the checkpoint',proof(lf,sep=b'\n\n'),**X)
bad(A,'trailing-text','UnfinishedLine|LineForm','text behind the checkpoint',proof(lf)+b'x',**X)
bad(A,'checkpoint-extension','Lines','a checkpoint with an extension line',proof(lf,checkpoint=(lambda t: note(t,S(t)))(f"{O}\n7\n".encode()+b64(mth(tree(lf)))+b'\nx\n')),**X)
bad(A,'checkpoint-no-signature','NoSignatureLines|NoSeparator','a checkpoint without signatures',proof(lf,checkpoint=f"{O}\n7\n".encode()+b64(mth(tree(lf)))+b'\n\n'),**X)
bad(A,'not-utf8','NotUtf8','a lone continuation byte',proof(lf)+b'\x80',**X)

# ---- witness: add-checkpoint bodies, and the lines that the witness answers with
A='witness'; LF=[leafh(b'fork'+bytes([i])) for i in range(16)]; FORK=LS[:3]+LF[3:8]
def ask(old,proof_,checkpoint): return b'old '+str(old).encode()+b'\n'+b''.join(b64(h)+b'\n' for h in proof_)+b'\n'+checkpoint
def wit(old,ls=LS,size=7,**h): return ask(old,cons(old,ls[:size]) if 0<old<size else [],cpn(ls[:size],size,**h))
def txt(ls,size): return f"{O}\n{size}\n".encode()+b64(mth(ls[:size]))+b'\n'
HELD=lambda size,ls=LS: dict(origin=O,key=VK,cosigned=f"{size} {mth(ls[:size]).hex()}")
NONE=dict(origin=O,key=VK,cosigned='none')
ANS=lambda size: dict(time=1700000000,answer=cs(txt(LS,size)).decode().rstrip('\n'))
ok(A,'first','nothing cosigned before: no proof',wit(0),**NONE,**ANS(7))
ok(A,'from-3','from size 3 with its proof',wit(3),**HELD(3),**ANS(7))
ok(A,'from-4','from a power of two: the proof starts beside it',wit(4),**HELD(4),**ANS(7))
ok(A,'same-size','the size cosigned last again, for a newer time',wit(7),**HELD(7),**ANS(7))
ok(A,'more-lines','lines of unknown keys are ignored',ask(3,cons(3,LS[:7]),cpn(LS[:7],more=cs(txt(LS,7)))),**HELD(3),**ANS(7))
bad(A,'conflict-behind','Conflict','the witness is at size 4',wit(3),**HELD(4))
bad(A,'conflict-ahead','Conflict','the witness is at size 3',wit(4),**HELD(3))
bad(A,'conflict-none','Conflict','the witness has cosigned nothing',wit(3),**NONE)
bad(A,'conflict-zero','Conflict','asks for the size by starting from nothing',wit(0),**HELD(3))
bad(A,'other-root','OtherRoot','the same size with another root: both are signed',wit(7,FORK),**HELD(7))
bad(A,'old-above','OldAbove','from size 8 to size 7',wit(8),**HELD(8))
bad(A,'fork','BadProof','a history that parts at 3 from a witness at 5',wit(5,FORK),**HELD(5))
bad(A,'fork-own-proof','BadProof','the proof of the honest history for the root of another',ask(5,cons(5,LS[:7]),cpn(FORK[:7])),**HELD(5))
bad(A,'proof-missing','BadProof','no proof',ask(3,[],cpn(LS[:7])),**HELD(3))
bad(A,'proof-short','BadProof','a hash is missing',ask(3,cons(3,LS[:7])[:-1],cpn(LS[:7])),**HELD(3))
bad(A,'proof-long','BadProof','a hash too many',ask(3,cons(3,LS[:7])+[r7],cpn(LS[:7])),**HELD(3))
bad(A,'proof-flipped','BadProof','a bit of a hash is flipped',ask(3,[fl(cons(3,LS[:7])[0],9)]+cons(3,LS[:7])[1:],cpn(LS[:7])),**HELD(3))
bad(A,'proof-from-nothing','BadProof','a proof from size 0 is empty',ask(0,[r7],cpn(LS[:7])),**NONE)
bad(A,'proof-same-size','BadProof','a proof between equal sizes is empty',ask(7,[r7],cpn(LS[:7])),**HELD(7))
bad(A,'other-key','NotSigned','signed by another key',wit(3,key=k2),**HELD(3))
bad(A,'other-log','NotSigned','a checkpoint of another log',wit(3,origin=other),**HELD(3))
bad(A,'only-cosigned','NotSigned','the log itself did not sign',ask(3,cons(3,LS[:7]),note(txt(LS,7),cs(txt(LS,7)))),**HELD(3))
bad(A,'extension','NotSigned','a checkpoint with an extension line',(lambda t: ask(0,[],note(t,S(t))))(txt(LS,7)+b'x\n'),**NONE)
bad(A,'old-leading-zero','Old','a leading zero',wit(3).replace(b'old 3',b'old 03'),**HELD(3))
bad(A,'old-plus','Old','a plus sign',wit(3).replace(b'old 3',b'old +3'),**HELD(3))
bad(A,'old-2-63','Old','2^63',wit(3).replace(b'old 3',b'old 9223372036854775808'),**HELD(3))
bad(A,'old-missing','Old','no first line',wit(3)[6:],**HELD(3))
bad(A,'old-capital','Old','another word',wit(3).replace(b'old 3',b'Old 3'),**HELD(3))
bad(A,'old-two-spaces','Old','two spaces',wit(3).replace(b'old 3',b'old  3'),**HELD(3))
bad(A,'no-empty-line','Hash|NoSeparator','no empty line before the checkpoint',ask(3,cons(3,LS[:7]),b'').rstrip(b'\n')+b'\n'+cpn(LS[:7]),**HELD(3))
bad(A,'hash-short','Hash','31 bytes of hash',ask(3,[cons(3,LS[:7])[0][:31]],cpn(LS[:7])),**HELD(3))
bad(A,'hash-unpadded','Hash','base64 without its padding',wit(3).replace(b'=\n',b'\n',1),**HELD(3))
bad(A,'hash-stray-bits','Hash','bits behind the last byte',(lambda b: b.replace(b.split(b'\n')[1],b.split(b'\n')[1][:-2]+b'B='))(ask(3,[bytes(32)],cpn(LS[:7]))),**HELD(3))
bad(A,'hash-space','Hash','a space behind a hash',wit(3).replace(b'=\n',b'= \n',1),**HELD(3))
bad(A,'hashes-64','TooManyHashes','more lines than the format has room for',ask(3,[r7]*64,cpn(LS[:7])),**HELD(3))
bad(A,'carriage-return','Old','lines end in CR LF',wit(3).replace(b'\n',b'\r\n'),**HELD(3))
bad(A,'trailing-text','UnfinishedLine|LineForm','text behind the checkpoint',wit(3)+b'x',**HELD(3))
bad(A,'trailing-line','NoSignatureLines|LineForm','an empty line behind the checkpoint',wit(3)+b'\n',**HELD(3))
bad(A,'too-long','TooLong','more than the largest body',wit(3)+b'a'*20000,**HELD(3))
bad(A,'not-utf8','NotUtf8','a lone continuation byte',wit(3)+b'\x80',**HELD(3))
bad(A,'empty','Old','no bytes',b'',**HELD(3))

# ---- evidence of equivocation
A='evidence'; E_=dict(origin=O,key=VK)
def ev(a,b,old=None,div=None):
    h=b'hashpact/evidence/v1 '+str(len(a)).encode()+b' '+str(len(b)).encode()+b'\n'
    if old: h+=b'old-root '+b64(old[0])+b'\n'+b''.join(b'old-proof '+b64(x)+b'\n' for x in old[1])
    if div:
        d,common,sides=div
        h+=b'divergence '+str(d).encode()+b'\ncommon-root '+b64(common)+b'\n'
        for nm,(lf_,cp_,ip_) in zip((b'first',b'second'),sides):
            h+=nm+b'-leaf '+b64(lf_)+b'\n'+b''.join(nm+b'-consistency '+b64(x)+b'\n' for x in cp_)+b''.join(nm+b'-inclusion '+b64(x)+b'\n' for x in ip_)
    return h+b'\n'+a+b
def side(ls,d): return (ls[d],cons(d,ls) if d else [],path(d,ls))
def div(a,b,d): return (d,mth(a[:d]),[side(a,d),side(b,d)])
H7,F7,F5=LS[:7],FORK[:7],FORK[:5]; N=lambda ls,**h: cpn(ls,len(ls),**h)
old5=(mth(LS[:5]),cons(5,H7)); rootless=[leafh(b'first')]+LS[1:7]
ok(A,'same-size','two roots of one size',ev(N(H7),N(F7)),**E_,divergence='none')
ok(A,'two-sizes','the larger tree has another root at the smaller size',ev(N(F5),N(H7),old5),**E_,divergence='none')
ok(A,'divergence','the histories part at 3',ev(N(H7),N(F7),div=div(H7,F7,3)),**E_,divergence=3)
ok(A,'divergence-two-sizes','the same, over two sizes',ev(N(F5),N(H7),old5,div(F5,H7,3)),**E_,divergence=3)
ok(A,'divergence-at-0','not even the first leaf is shared',ev(N(H7),N(rootless),div=div(H7,rootless,0)),**E_,divergence=0)
bad(A,'same-note','NoContradiction','one note twice',ev(N(H7),N(H7)),**E_)
bad(A,'honest','NoContradiction','two sizes of one history',ev(N(LS[:5]),N(H7),old5),**E_)
bad(A,'made-up-root','NotProven','an old root that the larger tree does not have',ev(N(LS[:5]),N(H7),(mth(F5),cons(5,H7))),**E_)
bad(A,'made-up-proof','NotProven','the proof of the other history',ev(N(LS[:5]),N(H7),(mth(F5),cons(5,F7))),**E_)
bad(A,'power-of-two','NotProven','an old root that no proof hash pins',ev(N(LS[:4]),N(H7),(mth(FORK[:4]),cons(4,H7))),**E_)
bad(A,'from-nothing','NotProven','every history starts from the empty tree',ev(note(f"{O}\n0\n".encode()+b64(mth([]))+b'\n',S(f"{O}\n0\n".encode()+b64(mth([]))+b'\n')),N(H7),(mth(F5),[])),**E_)
bad(A,'size-of-proof','NotProven','a proof from another size',ev(N(F5),N(H7),(mth(LS[:6]),cons(6,H7))),**E_)
bad(A,'no-old-root','OldRoot','two sizes without an old root',ev(N(F5),N(H7)),**E_)
bad(A,'old-root-too-many','OldRoot','an old root between equal sizes',ev(N(F7),N(H7),(mth(H7),[])),**E_)
bad(A,'order','Order','the larger note first',ev(N(H7),N(F5),old5),**E_)
bad(A,'other-key','Checkpoint','one note is signed by another key',ev(N(H7),N(F7,key=k2)),**E_)
bad(A,'other-log','Checkpoint','a note of another log of the same member',ev(N(H7),N(F7,origin=other)),**E_)
bad(A,'both-other-log','Checkpoint','both notes are of another log',ev(N(H7,origin=other),N(F7,origin=other)),**E_)
bad(A,'divergence-too-small','Divergence','leaf 2 is the same in both',ev(N(H7),N(F7),div=div(H7,F7,2)),**E_)
bad(A,'divergence-too-large','Divergence','the histories differ before 4 already',ev(N(H7),N(F7),div=div(H7,F7,4)),**E_)
bad(A,'divergence-other-root','Divergence','another common root',ev(N(H7),N(F7),div=(3,mth(LS[:2]),div(H7,F7,3)[2])),**E_)
bad(A,'divergence-swapped','Divergence','the sides are swapped',ev(N(H7),N(F7),div=div(F7,H7,3)),**E_)
bad(A,'divergence-outside','Divergence','an index that the first tree does not have',ev(N(F5),N(H7),old5,(5,mth(LS[:5]),[side(H7,5),side(H7,5)])),**E_)
bad(A,'divergence-leaf-flipped','Divergence','a bit of a leaf hash is flipped',ev(N(H7),N(F7),div=(3,mth(LS[:3]),[side(H7,3),(fl(F7[3]),)+side(F7,3)[1:]])),**E_)
bad(A,'header-version-2','Header','another version',ev(N(H7),N(F7)).replace(b'/v1',b'/v2',1),**E_)
bad(A,'header-leading-zero','Header','a leading zero in a length',ev(N(H7),N(F7)).replace(b'v1 ',b'v1 0',1),**E_)
bad(A,'length-cut','Notes','a length is one too small',(lambda e: e.replace(b' %d\n'%len(N(F7)),b' %d\n'%(len(N(F7))-1),1))(ev(N(H7),N(F7))),**E_)
bad(A,'trailing-byte','Notes','a byte follows',ev(N(H7),N(F7))+b'\n',**E_)
bad(A,'cut','Notes','the last byte is missing',ev(N(H7),N(F7))[:-1],**E_)
bad(A,'unknown-line','Line','a line that the format does not have',ev(N(H7),N(F7)).replace(b'\n',b'\nreason none\n',1),**E_)
bad(A,'leaf-missing','Line','a side without its leaf',(lambda e: e.replace(b'second-leaf',b'second-inclusion',1))(ev(N(H7),N(F7),div=div(H7,F7,3))),**E_)
bad(A,'empty','Header','no bytes',b'',**E_)
bad(A,'too-long','TooLong','more than the largest evidence',ev(N(H7),N(F7))+b'a'*54000,**E_)
print({a:(sum(1 for x,_ in names if x==a)) for a in ('merkle','notes','proofs','witness','evidence')})
